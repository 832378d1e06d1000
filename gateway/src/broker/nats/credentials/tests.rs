use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use async_nats::Auth;
use linnet_crds::broker::NatsTls;
use tempfile::TempDir;

use super::*;
use crate::config::watch::files::Next;

const SECRET: &str = "s3cr3t-value";

/// A folder of Secrets: each file is `(secret/key, content)`.
fn secrets(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn manifest(login: Option<&str>, tls: Option<(Option<&str>, Option<&str>)>) -> Nats {
    let own = |name: Option<&str>| name.map(str::to_owned);
    Nats {
        urls: vec!["nats://nats.example:4222".into()],
        credentials_secret_name: own(login),
        tls: tls.map(|(ca, certificate)| NatsTls {
            ca_secret_name: own(ca),
            cert_secret_name: own(certificate),
        }),
    }
}

/// The credentials of a Secret `n` with these keys.
fn login(files: &[(&str, &str)]) -> (TempDir, Credentials) {
    let folder = secrets(files);
    std::fs::create_dir_all(folder.path().join("n")).unwrap();
    let credentials = Credentials::new(&manifest(Some("n"), None), Some(folder.path())).unwrap();
    (folder, credentials)
}

fn auth(folder: &TempDir) -> Auth {
    let source = Source::Folder(folder.path().join("n"));
    let login = read_login(&source).unwrap();
    login.auth(b"nonce", &source).unwrap()
}

fn creds_file(pair: &nkeys::KeyPair) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        pair.seed().unwrap()
    )
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_login_is_what_the_secret_holds_without_line_ends() {
    let (folder, credentials) = login(&[("n/username", "ann\n"), ("n/password", " x y \r\n")]);
    credentials.check().unwrap();
    let found = auth(&folder);
    assert_eq!(found.username.as_deref(), Some("ann"));
    assert_eq!(found.password.as_deref(), Some(" x y "));

    let (folder, credentials) = login(&[("n/token", "t\n")]);
    credentials.check().unwrap();
    assert_eq!(auth(&folder).token.as_deref(), Some("t"));
}

#[test]
fn a_credentials_file_signs_the_servers_nonce() {
    let pair = nkeys::KeyPair::new_user();
    let (folder, credentials) = login(&[("n/nats.creds", &creds_file(&pair))]);
    credentials.check().unwrap();
    let found = auth(&folder);
    assert_eq!(found.jwt.as_deref(), Some("a.b.c"));
    pair.verify(b"nonce", &found.signature.unwrap()).unwrap();
}

#[test]
fn what_is_wrong_names_the_file_and_the_key_and_not_the_content() {
    let pair = nkeys::KeyPair::new_user();
    let cut = creds_file(&pair).replace("BEGIN USER", "USER");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[], &["/n holds none of"]),
        (&[("n/username", SECRET)], &["/n/password can't be read"]),
        (&[("n/password", SECRET)], &["/n/username can't be read"]),
        (&[("n/token", "")], &["/n/token is not one line"]),
        (
            &[("n/token", "s3cr3t-value\nb")],
            &["/n/token is not one line"],
        ),
        (
            &[("n/token", SECRET), ("n/username", SECRET)],
            &["/n holds both", "token", "username"],
        ),
        (
            &[("n/nats.creds", SECRET)],
            &["/n/nats.creds is not a credentials file"],
        ),
        (
            &[("n/nats.creds", &cut)],
            &["/n/nats.creds is not a credentials file"],
        ),
    ];
    for (files, expected) in cases {
        let (_folder, credentials) = login(files);
        let error = credentials.check().unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(SECRET), "{text}");
            assert!(!text.contains(&pair.seed().unwrap()), "{text}");
        }
        for part in *expected {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn a_secret_that_is_named_needs_the_folder_of_secrets() {
    for (nats, field) in [
        (manifest(Some("n"), None), "credentialsSecretName"),
        (manifest(None, Some((Some("n"), None))), "tls.caSecretName"),
        (
            manifest(None, Some((None, Some("n")))),
            "tls.certSecretName",
        ),
    ] {
        let error = Credentials::new(&nats, None).unwrap_err().to_string();
        assert!(
            error.contains(field) && error.contains("--secrets"),
            "{error}"
        );
    }
    let none = Credentials::new(&manifest(None, None), None).unwrap();
    none.check().unwrap();
}

#[test]
fn certificates_and_their_key_are_checked() {
    let (certificate, key) = certificate();
    let (_, other_key) = self::certificate();
    let check = |files: &[(&str, &str)]| {
        let folder = secrets(files);
        let nats = manifest(None, Some((Some("ca"), Some("c"))));
        let credentials = Credentials::new(&nats, Some(folder.path())).unwrap();
        credentials.check().map_err(|error| error.to_string())
    };
    let with = |ca: &str, certificate: &str, key: &str| {
        check(&[
            ("ca/ca.crt", ca),
            ("c/tls.crt", certificate),
            ("c/tls.key", key),
        ])
    };
    with(&certificate, &certificate, &key).unwrap();
    for (result, expected) in [
        (check(&[]), "ca/ca.crt can't be read"),
        (
            with("x", &certificate, &key),
            "ca/ca.crt is not a list of certificates",
        ),
        (
            with(&certificate, &key, &key),
            "c/tls.crt is not a list of certificates",
        ),
        (
            with(&certificate, &certificate, "x"),
            "c/tls.key is not a private key",
        ),
        (
            with(&certificate, &certificate, &other_key),
            "tls.key is not the key of tls.crt",
        ),
    ] {
        let error = result.unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// Watches; each change arrives at the receiver.
fn changes(credentials: &Credentials) -> Receiver<()> {
    let (sender, receiver) = channel();
    let changed = move || match sender.send(()) {
        Ok(()) => Next::GoOn,
        Err(_) => Next::Stop,
    };
    let now = credentials.check().unwrap();
    credentials.watch(now, changed).unwrap();
    receiver
}

#[test]
fn the_kubelets_swap_is_told_once_and_only_where_the_content_differs_and_can_be_used() {
    let folder = secrets(&[
        ("n/1/token", "a"),
        ("n/2/token", "a\n"),
        ("n/3/token", ""),
        ("n/4/token", "b"),
    ]);
    let at = |name: &str| folder.path().join("n").join(name);
    symlink("1", at("..data")).unwrap();
    symlink("..data/token", at("token")).unwrap();
    let nats = manifest(Some("n"), None);
    let credentials = Credentials::new(&nats, Some(folder.path())).unwrap();
    let changes = changes(&credentials);
    for (version, told) in [("2", false), ("3", false), ("4", true), ("1", true)] {
        symlink(version, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        let wait = Duration::from_secs(if told { 5 } else { 1 });
        assert_eq!(changes.recv_timeout(wait).is_ok(), told, "{version}");
    }
    assert!(
        changes.recv_timeout(Duration::from_secs(1)).is_err(),
        "once"
    );
}

/// The Secret `n` as the API server gives it.
fn held(files: &[(&str, &str)]) -> Credentials {
    let keys = files
        .iter()
        .map(|(key, content)| ((*key).to_owned(), content.as_bytes().to_vec()));
    let secrets = [("n".to_owned(), keys.collect())].into();
    Credentials::held(&manifest(Some("n"), Some((Some("n"), Some("n")))), &secrets)
}

#[test]
fn a_secret_that_is_held_says_the_same_as_its_folder() {
    let (certificate, key) = certificate();
    let files = [
        ("token", SECRET),
        ("ca.crt", certificate.as_str()),
        ("tls.crt", certificate.as_str()),
        ("tls.key", key.as_str()),
    ];
    let held = held(&files);
    let folder = secrets(&files.map(|(key, content)| match key {
        "token" => ("n/token", content),
        "ca.crt" => ("n/ca.crt", content),
        "tls.crt" => ("n/tls.crt", content),
        _ => ("n/tls.key", content),
    }));
    let spec = manifest(Some("n"), Some((Some("n"), Some("n"))));
    let mounted = Credentials::new(&spec, Some(folder.path())).unwrap();
    assert_eq!(held.check().unwrap(), mounted.check().unwrap());
    held.held_options().unwrap();
    assert!(!format!("{held:?}").contains(SECRET));
}

#[test]
fn a_held_secret_that_can_not_be_used_is_named_with_its_key() {
    let (certificate, key) = certificate();
    let whole = [
        ("token", "t"),
        ("ca.crt", certificate.as_str()),
        ("tls.crt", certificate.as_str()),
        ("tls.key", key.as_str()),
    ];
    for (missing, words) in [
        ("token", "n holds none of nats.creds"),
        ("ca.crt", "n/ca.crt can't be read"),
        ("tls.key", "n/tls.key can't be read"),
    ] {
        let files: Vec<_> = whole
            .into_iter()
            .filter(|(key, _)| *key != missing)
            .collect();
        let error = held(&files).check().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let broken = whole.map(|(key, content)| match key {
        "ca.crt" => (key, "no certificate"),
        _ => (key, content),
    });
    let error = held(&broken).held_options().unwrap_err().to_string();
    assert!(
        error.contains("n/ca.crt is not a list of certificates"),
        "{error}"
    );
    let none = Credentials::held(&manifest(Some("n"), None), &BTreeMap::new());
    assert!(
        none.check().is_err(),
        "a Secret that is not there has no keys"
    );
}
