//! `examples/users/run` starts everything and ends it; in between users change, and a gateway dies.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::process::Command;

use linnet_tests::example::Run;
use linnet_tests::prelude::*;
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use users::change::Type;
use users::user_service_client::UserServiceClient;
use users::{
    Change, CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest,
    UpdateUserRequest, User, WatchUsersRequest,
};

/// The API of the example.
#[allow(missing_docs, clippy::all, reason = "generated")]
mod users {
    include!("../../examples/users/users.v1.rs");
}

const SCRIPT: &str = "examples/users/run";
const USERS: usize = 40;

/// Held by the run that installs the clients' packages, or finds them.
static INSTALLING: Mutex<()> = Mutex::const_new(());

async fn start(arguments: &[&str]) -> Run {
    let _installing = INSTALLING.lock().await;
    let mut run = Run::start(SCRIPT, arguments);
    run.says("building the service").await;
    run
}

/// Changes users, and knows what it has changed.
struct Office {
    client: UserServiceClient<Channel>,
    changes: Vec<(Type, User)>,
}

fn email(name: &str) -> String {
    format!("{name}@example.org")
}

impl Office {
    async fn create(&mut self, name: &str) -> User {
        let (name, email) = (name.to_owned(), email(name));
        let created = self.client.create_user(CreateUserRequest { name, email });
        let user = created.await.unwrap().into_inner();
        self.changes.push((Type::UserCreated, user.clone()));
        user
    }

    async fn update(&mut self, user: &User, name: &str) {
        let request = UpdateUserRequest {
            id: user.id.clone(),
            name: name.to_owned(),
            email: email(name),
            version: Some(user.version),
        };
        let updated = self.client.update_user(request).await;
        let user = updated.unwrap().into_inner();
        self.changes.push((Type::UserUpdated, user));
    }

    /// Of a version that the user had before.
    async fn delete(&mut self, user: &User) {
        let id = user.id.clone();
        let now = self.client.get_user(GetUserRequest { id: id.clone() });
        let mut now = now.await.unwrap().into_inner();
        let deleted = self.client.delete_user(DeleteUserRequest { id });
        deleted.await.unwrap();
        now.version += 1;
        self.changes.push((Type::UserDeleted, now));
    }

    /// What a call that is wrong is refused with, one of each.
    async fn is_strict(&mut self, user: &User) {
        let nameless = CreateUserRequest {
            name: String::new(),
            email: email("nobody"),
        };
        let refused = self.client.create_user(nameless).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let outdated = UpdateUserRequest {
            id: user.id.clone(),
            name: "Late".into(),
            email: email("late"),
            version: Some(user.version + 7),
        };
        let refused = self.client.update_user(outdated).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted);
        let nobody = DeleteUserRequest {
            id: "nobody".into(),
        };
        let refused = self.client.delete_user(nobody).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
}

/// The next change that is watched is this one, and the next message of the room too.
async fn is_told((kind, user): &(Type, User), watched: &mut Streaming<Change>, room: &mut Client) {
    let change = within("a change", 30, watched.message()).await;
    let change = change.unwrap().unwrap();
    assert_eq!((change.r#type(), change.user.as_ref()), (*kind, Some(user)));
    let frame = room.next_of("message").await;
    let data = match kind {
        Type::UserDeleted => json!({"id": user.id, "version": user.version}),
        _ => {
            json!({"id": user.id, "name": user.name, "email": user.email, "version": user.version})
        }
    };
    let expected = json!({"type": kind.as_str_name(), "data": data});
    assert_eq!(frame["data"], expected, "{frame}");
    assert_eq!(frame["event"], kind.as_str_name(), "{frame}");
}

#[test]
fn each_change_reaches_who_watches_and_the_room_once_and_in_order_though_a_gateway_is_killed() {
    scenario(400, async {
        let mut run = start(&[]).await;
        let killed = run.says("gateway-0 is process ").await;
        let gateway = run.says("gateway-1 at ").await.parse().unwrap();
        let service = run.says("service at ").await;
        let (service, _) = service.split_once(';').unwrap();
        run.says("Ctrl-C ends").await;

        let mut room = Client::open(gateway, "").await.unwrap();
        room.subscribe("users").await;
        let endpoint = Endpoint::from_shared(format!("http://{service}")).unwrap();
        let mut client = UserServiceClient::new(endpoint.connect().await.unwrap());
        let watched = client.watch_users(WatchUsersRequest {}).await;
        let mut watched = watched.unwrap().into_inner();
        let mut office = Office {
            client,
            changes: Vec::new(),
        };
        for number in 0..USERS {
            let user = office.create(&format!("u{number}")).await;
            office.update(&user, &format!("v{number}")).await;
            if number == USERS / 2 {
                let killing = Command::new("kill").args(["-KILL", &killed]).status();
                assert!(killing.unwrap().success());
            }
            if number % 4 == 0 {
                office.delete(&user).await;
            } else {
                office.is_strict(&user).await;
            }
        }
        // The last one shows that nothing came twice.
        office.create("last").await;
        for change in &office.changes {
            is_told(change, &mut watched, &mut room).await;
        }

        let listed = office.client.list_users(ListUsersRequest {}).await;
        let mut listed = listed.unwrap().into_inner();
        let mut names = Vec::new();
        while let Some(user) = listed.message().await.unwrap() {
            names.push(user.name);
        }
        names.sort();
        let kept = (0..USERS).filter(|number| number % 4 != 0);
        let mut expected: Vec<String> = kept.map(|number| format!("v{number}")).collect();
        // One of the script's is left too.
        expected.extend(["Robert".to_owned(), "last".to_owned()]);
        expected.sort();
        assert_eq!(names, expected);

        run.terminate();
        let ended = within("the end of the stream", 30, watched.message()).await;
        assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
        assert!(!run.ended().await.success());
        let again = tokio::net::TcpStream::connect(service).await;
        assert!(again.is_err(), "the service went with it");
    });
}

#[test]
fn with_once_it_ends_by_itself_and_both_clients_saw_what_the_room_got() {
    scenario(400, async {
        let mut run = start(&["--once"]).await;
        assert!(run.ended().await.success(), "{:#?}", run.said);
        let said = |who: &str| {
            let lines = run.said.iter().filter_map(|line| line.strip_prefix(who));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let changes = [
            "USER_CREATED Ann <ann@example.org> version 1",
            "USER_CREATED Bob <bob@example.org> version 1",
            "USER_UPDATED Robert <bob@example.org> version 2",
            "USER_DELETED Ann <ann@example.org> version 2",
        ];
        assert_eq!(said("node saw: "), changes);
        assert_eq!(said("python saw: "), changes);
        let room = said("the room has: ");
        let room = room.iter().map(|line| serde_json::from_str(line).unwrap());
        let room: Vec<Value> = room.collect();
        assert_eq!(room.len(), changes.len(), "{room:?}");
        for (message, change) in room.iter().zip(changes) {
            let kind = message["type"].as_str().unwrap();
            assert!(change.starts_with(kind), "{message}: {change}");
            let version = format!("version {}", message["data"]["version"]);
            assert!(change.ends_with(&version), "{message}: {change}");
        }
        let listed = said("listed: ");
        assert!(
            listed.len() == 1 && listed[0].ends_with("Robert <bob@example.org> version 2"),
            "{listed:?}"
        );
    });
}
