//! The gateway's credentials for NATS on a real server: each way to log in, TLS with certificates of both sides, and
//! new files while the connection is open.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::path::Path;
use std::time::Duration;

use async_nats::ConnectError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use linnet_crds::broker::{Nats, NatsTls};
use linnet_gateway::broker::nats::credentials::Credentials;
use linnet_gateway::config::watch::files::Next;
use linnet_tests::nats::NatsServer;
use linnet_tests::prelude::*;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa};
use tempfile::TempDir;

/// A folder of Secrets with the Secret `n`, which has all keys of a test.
struct Secrets(TempDir);

impl Secrets {
    fn new(files: &[(&str, &str)]) -> Self {
        let secrets = Self(TempDir::new().unwrap());
        std::fs::create_dir(secrets.0.path().join("n")).unwrap();
        for (key, content) in files {
            secrets.put(key, content);
        }
        secrets
    }

    /// Writes a key as an editor does: a new file renamed over the old one.
    fn put(&self, key: &str, content: &str) {
        let path = self.0.path().join("n").join(key);
        let new = self.0.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn credentials(&self, login: bool, tls: bool) -> Credentials {
        let n = || Some("n".to_owned());
        let nats = Nats {
            urls: vec!["nats://localhost".into()],
            credentials_secret_name: login.then(n).flatten(),
            tls: tls.then(|| NatsTls {
                ca_secret_name: n(),
                cert_secret_name: n(),
            }),
        };
        Credentials::new(&nats, Some(self.path())).unwrap()
    }
}

async fn connect(
    credentials: &Credentials,
    server: &NatsServer,
) -> Result<async_nats::Client, ConnectError> {
    credentials.check().unwrap();
    let url = format!("nats://localhost:{}", server.port);
    credentials
        .options()
        .reconnect_delay_callback(|_| Duration::from_millis(50))
        .connect(url)
        .await
}

/// A message goes round, so the server has accepted the connection.
async fn works(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut subscription = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "x".into()).await.unwrap();
    let next = futures_util::StreamExt::next(&mut subscription);
    within("the echo", 60, next).await.unwrap();
}

#[test]
fn a_user_with_a_password_a_token_and_neither() {
    scenario(60, async {
        let password = Secrets::new(&[("username", "ann\n"), ("password", "p w\n")]);
        let token = Secrets::new(&[("token", "t0k3n\n")]);
        for (config, right, wrong) in [
            (
                r#"authorization {user: ann, password: "p w"}"#,
                &password,
                &token,
            ),
            ("authorization {token: t0k3n}", &token, &password),
        ] {
            let server = NatsServer::start(config).await;
            works(
                &connect(&right.credentials(true, false), &server)
                    .await
                    .unwrap(),
            )
            .await;
            let refused = connect(&wrong.credentials(true, false), &server).await;
            let kind = refused.unwrap_err().kind();
            assert_eq!(kind, async_nats::ConnectErrorKind::AuthorizationViolation);
            assert!(connect(&Credentials::default(), &server).await.is_err());
        }
    });
}

/// A JWT as NATS defines them (ADR-14): `subject` is given `claims` by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, kind: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "wildcards": true});
    let mut nats = json!({"type": kind, "version": 2});
    match kind {
        "account" => nats["limits"] = limits,
        "user" => nats.as_object_mut().unwrap().extend([
            ("subs".into(), json!(-1)),
            ("data".into(), json!(-1)),
            ("payload".into(), json!(-1)),
        ]),
        _ => {}
    }
    let claims = json!({
        "jti": "id", "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(), "name": kind,
        "nats": nats,
    });
    let header = part(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let signed = format!("{header}.{}", part(claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[test]
fn a_credentials_file_of_a_user_of_an_account() {
    scenario(60, async {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let server = NatsServer::start(&format!(
            "operator: {}\nresolver: MEMORY\nresolver_preload: {{{}: {}}}",
            jwt(&operator, &operator, "operator"),
            account.public_key(),
            jwt(&operator, &account, "account"),
        ))
        .await;
        let creds = |issuer: &KeyPair| {
            let user = KeyPair::new_user();
            format!(
                "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
                jwt(issuer, &user, "user"),
                user.seed().unwrap(),
            )
        };
        let secrets = Secrets::new(&[("nats.creds", &creds(&account))]);
        let credentials = secrets.credentials(true, false);
        works(&connect(&credentials, &server).await.unwrap()).await;
        secrets.put("nats.creds", &creds(&KeyPair::new_account()));
        assert!(connect(&credentials, &server).await.is_err());
    });
}

/// An authority and what it signs.
struct Authority(CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost`, and its key.
    fn sign(&self, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

#[test]
fn certificates_of_both_sides_are_verified_and_new_files_are_taken_at_once() {
    scenario(60, async {
        let authority = Authority::new();
        let (certificate, key) = authority.sign(ExtendedKeyUsagePurpose::ServerAuth);
        let files = TempDir::new().unwrap();
        let at = |name: &str| files.path().join(name).display().to_string();
        for (name, text) in [("ca", authority.pem()), ("crt", certificate), ("key", key)] {
            std::fs::write(at(name), text).unwrap();
        }
        let server = NatsServer::start(&format!(
            "tls {{cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true}}",
            at("crt"),
            at("key"),
            at("ca"),
        ))
        .await;

        let (certificate, key) = authority.sign(ExtendedKeyUsagePurpose::ClientAuth);
        let ca = authority.pem();
        let secrets = Secrets::new(&[
            ("ca.crt", &ca),
            ("tls.crt", &certificate),
            ("tls.key", &key),
        ]);
        let credentials = secrets.credentials(false, true);
        let client = connect(&credentials, &server).await.unwrap();
        works(&client).await;

        let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
        let changed = move || match told.send(()) {
            Ok(()) => Next::GoOn,
            Err(_) => Next::Stop,
        };
        credentials
            .watch(credentials.check().unwrap(), changed)
            .unwrap();
        // A second pair: between the two files the pair does not fit, which is no change to act upon.
        let (certificate, key) = authority.sign(ExtendedKeyUsagePurpose::ClientAuth);
        secrets.put("tls.crt", &certificate);
        secrets.put("tls.key", &key);
        within("the change", 60, changes.recv()).await.unwrap();
        let connects = || {
            client
                .statistics()
                .connects
                .load(std::sync::atomic::Ordering::Relaxed)
        };
        let before = connects();
        client.force_reconnect().await.unwrap();
        until("a new connection", || async {
            (connects() > before).then_some(())
        })
        .await;
        works(&client).await;

        let stranger = Authority::new();
        let (certificate, key) = stranger.sign(ExtendedKeyUsagePurpose::ClientAuth);
        let unknown = Secrets::new(&[
            ("ca.crt", &ca),
            ("tls.crt", &certificate),
            ("tls.key", &key),
        ]);
        assert!(
            connect(&unknown.credentials(false, true), &server)
                .await
                .is_err()
        );
        secrets.put("ca.crt", &stranger.pem());
        assert!(
            connect(&credentials, &server).await.is_err(),
            "another authority's server"
        );
    });
}

#[test]
fn a_password_that_changes_on_both_sides_is_taken_at_the_next_connection() {
    scenario(60, async {
        let config = |password: &str| format!("authorization {{user: ann, password: {password}}}");
        let secrets = Secrets::new(&[("username", "ann"), ("password", "one")]);
        let credentials = secrets.credentials(true, false);
        let mut server = NatsServer::start(&config("one")).await;
        let client = connect(&credentials, &server).await.unwrap();
        works(&client).await;
        secrets.put("password", "two");
        // The server ends connections whose password is no longer right.
        server.reload(&config("two"));
        until("the new password to be taken", || async {
            let echo = client.request(client.new_inbox(), "x".into());
            let answer = tokio::time::timeout(Duration::from_secs(1), echo).await;
            let connects = client
                .statistics()
                .connects
                .load(std::sync::atomic::Ordering::Relaxed);
            (answer.is_ok() && connects > 1).then_some(())
        })
        .await;
        works(&client).await;
    });
}

/// A gateway process, its Secret, and clients that are to stay.
struct Running {
    server: NatsServer,
    secrets: Secrets,
    gateway: Gateway,
    publisher: Client,
    watcher: Client,
}

impl Running {
    /// One whose gateway logs in with `password`.
    async fn start(password: &str) -> Self {
        let server = NatsServer::jetstream_with("", &login(password)).await;
        let secrets = Secrets::new(&[("username", "ann"), ("password", password)]);
        let manifest = Manifest::unhurried()
            .without_pings()
            .history(100)
            .nats(&[server.url()])
            .spec(json!({"broker": {"nats": {"credentialsSecretName": "n"}}}));
        let folder = secrets.path().to_str().unwrap();
        let flags = ["--create-stream", "--secrets", folder];
        let gateway = Gateway::start_with(&manifest, &flags).await;
        gateway.ready().await;
        let publisher = gateway.client().await;
        let mut watcher = gateway.client().await;
        watcher.subscribe("lobby").await;
        Self {
            server,
            secrets,
            gateway,
            publisher,
            watcher,
        }
    }

    /// The server takes `password` only, and ends connections that came with another.
    fn takes_only(&mut self, password: &str) {
        let config = self.server.with_store("", &login(password));
        self.server.reload(&config);
    }

    /// Awaits that the gateway is not let in.
    async fn is_locked_out(&mut self) {
        let refused = async {
            let request = json!({"type": "publish", "room": "lobby", "data": 1});
            loop {
                match self.publisher.request(request.clone()).await {
                    Err(error) if error["code"] == "broker_unauthorized" => return,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        within("a refusal", 60, refused).await;
    }

    /// The same clients as ever: one publishes, the other hears it.
    async fn is_well(&mut self, data: &str) {
        self.publisher.publish_at_last("lobby", json!(data)).await;
        while self.watcher.skip_to("message").await["data"] != data {}
        self.gateway.is_well().await;
    }
}

fn login(password: &str) -> String {
    format!("authorization {{user: ann, password: {password}}}")
}

#[test]
fn a_running_gateway_whose_password_is_revoked_comes_back_with_the_new_one_and_clients_stay() {
    scenario(120, async {
        let mut running = Running::start("one").await;
        running.takes_only("two");
        running.is_locked_out().await;
        running.secrets.put("password", "two");
        running.is_well("after").await;
    });
}

#[test]
fn a_running_gateway_connects_anew_when_its_secret_changes_before_the_server_does() {
    scenario(120, async {
        let mut running = Running::start("one").await;
        // It is not told by the server: the file alone makes it connect anew, and be refused.
        running.secrets.put("password", "two");
        running.is_locked_out().await;
        running.takes_only("two");
        running.is_well("after").await;
    });
}
