//! Users over gRPC (`users.proto`), in memory. Each change is told to those who watch, and published to a room, by way of the
//! gRPC API of Linnet's gateways.
//!
//! `users --gateway HOST:PORT --api-key-file FILE`; `--help` tells the rest. `examples/users/run` starts it with everything
//! around it.

mod announcer;
mod gateways;
mod users;

/// What `make generate` makes of `users.proto`.
#[allow(missing_docs, clippy::all, clippy::unwrap_used, reason = "generated")]
mod v1 {
    include!("users.v1.rs");
}

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use announcer::Announcer;
use clap::Parser;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use users::Users;
use v1::user_service_server::{UserService, UserServiceServer};
use v1::{
    Change, CreateUserRequest, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    ListUsersRequest, UpdateUserRequest, User, WatchUsersRequest,
};

/// How long what waits may still be published when the service ends.
const LAST_WORDS: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Arguments {
    /// Where it listens; a port of 0 takes any
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// Gateways, HOST:PORT of the internal port; given several times, calls are spread, as over all that one name stands for
    #[arg(
        long = "gateway",
        env = "LINNET_GATEWAY",
        value_delimiter = ',',
        required = true
    )]
    gateways: Vec<String>,
    /// A file with the API key, whose scope is publish
    #[arg(long, env = "LINNET_API_KEY_FILE")]
    api_key_file: PathBuf,
    /// The room that changes are published to
    #[arg(long, env = "ROOM", default_value = "users")]
    room: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let arguments = Arguments::parse();
    let (users, changes) = Users::new();
    let users = Arc::new(users);
    let announcer = Announcer {
        channel: gateways::balanced(arguments.gateways),
        api_key_file: arguments.api_key_file,
        room: arguments.room,
    };
    let announcing = tokio::spawn(announcer.announce(changes));

    let listener = TcpListener::bind(arguments.listen).await?;
    println!("listening {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let service = UserServiceServer::new(Service {
        users: users.clone(),
    });
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        // Else the streams of those who watch would keep the server.
        users.close();
    };
    Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop)
        .await?;
    if tokio::time::timeout(LAST_WORDS, announcing).await.is_err() {
        tracing::error!("some changes were not published");
    }
    Ok(())
}

struct Service {
    users: Arc<Users>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl UserService for Service {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Answer<User> {
        let CreateUserRequest { name, email } = request.into_inner();
        self.users.create(name, email).map(Response::new)
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Answer<User> {
        self.users.get(&request.into_inner().id).map(Response::new)
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Answer<User> {
        self.users.update(request.into_inner()).map(Response::new)
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Answer<DeleteUserResponse> {
        self.users.delete(&request.into_inner().id)?;
        Ok(Response::new(DeleteUserResponse {}))
    }

    type ListUsersStream = BoxStream<'static, Result<User, Status>>;

    async fn list_users(&self, _: Request<ListUsersRequest>) -> Answer<Self::ListUsersStream> {
        let users = self.users.list().into_iter().map(Ok);
        Ok(Response::new(stream::iter(users).boxed()))
    }

    type WatchUsersStream = BoxStream<'static, Result<Change, Status>>;

    async fn watch_users(&self, _: Request<WatchUsersRequest>) -> Answer<Self::WatchUsersStream> {
        let changes = self.users.watch()?;
        Ok(Response::new(stream::unfold(Some(changes), next).boxed()))
    }
}

/// The next change of a stream, or the error that ends it.
async fn next(
    changes: Option<Receiver<Change>>,
) -> Option<(Result<Change, Status>, Option<Receiver<Change>>)> {
    let mut changes = changes?;
    Some(match changes.recv().await {
        Ok(change) => (Ok(change), Some(changes)),
        Err(RecvError::Lagged(_)) => {
            let slow = Status::aborted("changes were read too slowly: watch and list again");
            (Err(slow), None)
        }
        Err(RecvError::Closed) => (Err(users::ending()), None),
    })
}
