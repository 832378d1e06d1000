//! The users, in memory: what is changed here is told in the order of the changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, mpsc};
use tonic::Status;
use uuid::Uuid;

use crate::v1::change::Type;
use crate::v1::{Change, UpdateUserRequest, User};

/// Users at most.
const MOST: usize = 100_000;
/// Changes that wait for a gateway, at most; then there are no more changes.
const QUEUE: usize = 1024;
/// Changes that somebody who watches may be behind.
const BEHIND: usize = 1024;

pub struct Users {
    state: Mutex<State>,
}

struct State {
    users: BTreeMap<String, User>,
    /// None once the service ends.
    told: Option<Told>,
}

/// Who is told of changes.
struct Told {
    watchers: broadcast::Sender<Change>,
    announcer: mpsc::Sender<Change>,
}

impl Users {
    /// No users yet, and what the announcer is told.
    pub fn new() -> (Self, mpsc::Receiver<Change>) {
        let (announcer, changes) = mpsc::channel(QUEUE);
        let told = Told {
            watchers: broadcast::Sender::new(BEHIND),
            announcer,
        };
        let state = Mutex::new(State {
            users: BTreeMap::new(),
            told: Some(told),
        });
        (Self { state }, changes)
    }

    pub fn create(&self, name: String, email: String) -> Result<User, Status> {
        check(&name, &email)?;
        let mut state = self.state();
        if state.users.len() >= MOST {
            return Err(Status::resource_exhausted("there are too many users"));
        }
        let user = User {
            id: Uuid::new_v4().to_string(),
            name,
            email,
            version: 1,
        };
        state.change(Type::UserCreated, user)
    }

    pub fn get(&self, id: &str) -> Result<User, Status> {
        self.state().get(id).cloned()
    }

    pub fn update(&self, request: UpdateUserRequest) -> Result<User, Status> {
        check(&request.name, &request.email)?;
        let mut state = self.state();
        let before = state.get(&request.id)?.version;
        if request.version.is_some_and(|version| version != before) {
            return Err(Status::aborted(format!("the user has version {before}")));
        }
        let user = User {
            id: request.id,
            name: request.name,
            email: request.email,
            version: before + 1,
        };
        state.change(Type::UserUpdated, user)
    }

    pub fn delete(&self, id: &str) -> Result<User, Status> {
        let mut state = self.state();
        let mut user = state.get(id)?.clone();
        user.version += 1;
        state.change(Type::UserDeleted, user)
    }

    pub fn list(&self) -> Vec<User> {
        self.state().users.values().cloned().collect()
    }

    /// Each change from now on.
    pub fn watch(&self) -> Result<broadcast::Receiver<Change>, Status> {
        let state = self.state();
        let told = state.told.as_ref().ok_or_else(ending)?;
        Ok(told.watchers.subscribe())
    }

    /// Ends the streams of those who watch, and the announcer's once it has had all. There are no changes any more.
    pub fn close(&self) {
        self.state().told = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn get(&self, id: &str) -> Result<&User, Status> {
        let user = self.users.get(id);
        user.ok_or_else(|| Status::not_found("there is no such user"))
    }

    /// Makes a change and tells it; neither, where it could not be told.
    fn change(&mut self, kind: Type, user: User) -> Result<User, Status> {
        let told = self.told.as_ref().ok_or_else(ending)?;
        let place = told.announcer.try_reserve().map_err(|_| {
            Status::unavailable("too many changes wait for a gateway: try again later")
        })?;
        match kind {
            Type::UserDeleted => self.users.remove(&user.id),
            _ => self.users.insert(user.id.clone(), user.clone()),
        };
        let change = Change {
            r#type: kind.into(),
            user: Some(user.clone()),
        };
        place.send(change.clone());
        // Perhaps nobody watches.
        let _ = told.watchers.send(change);
        Ok(user)
    }
}

/// What is said when the service ends.
pub fn ending() -> Status {
    Status::unavailable("the service ends: call again")
}

fn check(name: &str, email: &str) -> Result<(), Status> {
    if name.is_empty() || name.len() > 100 {
        return Err(Status::invalid_argument("a name has 1 to 100 bytes"));
    }
    if !email.contains('@') || email.len() > 254 {
        return Err(Status::invalid_argument(
            "an address has an @, and at most 254 bytes",
        ));
    }
    Ok(())
}
