//! The images as they were built: small, and with nothing in them but one executable and the authorities that it trusts.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::path::{Path, PathBuf};
use std::process::Command;

use linnet_cluster_tests::cluster;
use serde_json::Value;

/// What an image may have at most, in bytes: 25 MB.
const LARGEST: u64 = 25_000_000;

/// Linnet's own images, and those of its examples.
const NAMES: [&str; 6] = [
    "gateway",
    "operator",
    "outbox",
    "products",
    "microservices",
    "users",
];

/// What an image runs.
fn executable(name: &str) -> String {
    match name {
        "products" | "users" => name.to_owned(),
        "microservices" => "counter".to_owned(),
        _ => format!("linnet-{name}"),
    }
}

/// The archive of an image that `tests/cluster/images` wrote.
fn archive(name: &str) -> PathBuf {
    let archive = cluster::file(".cache/images").join(format!("linnet-{name}.tar"));
    assert!(
        archive.exists(),
        "{} is missing: tests/cluster/images",
        archive.display()
    );
    archive
}

/// Runs tar, and gives what it printed.
fn tar(arguments: &[&str], archive: &Path) -> Vec<u8> {
    let done = Command::new("tar")
        .args(arguments)
        .arg("--file")
        .arg(archive)
        .output()
        .expect("tar is installed");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

/// The file `path` of an archive.
fn file(archive: &Path, path: &str) -> Vec<u8> {
    let name = [path];
    let mut command = Command::new("tar");
    command
        .arg("--extract")
        .arg("--to-stdout")
        .arg("--file")
        .arg(archive)
        .args(name);
    command.output().unwrap().stdout
}

fn json(archive: &Path, path: &str) -> Value {
    serde_json::from_slice(&file(archive, path)).unwrap()
}

/// The image's manifest, as `docker load` reads it.
fn manifest(archive: &Path) -> Value {
    json(archive, "manifest.json")[0].clone()
}

#[test]
#[ignore = "needs the images: tests/run cluster"]
fn an_image_has_no_more_than_25_megabytes() {
    for name in NAMES {
        let size = std::fs::metadata(archive(name)).unwrap().len();
        println!("linnet-{name}: {:.1} MB", size as f64 / 1e6);
        assert!(size <= LARGEST, "linnet-{name} has {size} bytes");
    }
}

#[test]
#[ignore = "needs the images: tests/run cluster"]
fn an_image_holds_one_executable_and_the_authorities_that_it_trusts() {
    for name in NAMES {
        let archive = archive(name);
        let mut held = Vec::new();
        for layer in manifest(&archive)["Layers"].as_array().unwrap() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("layer.tar");
            std::fs::write(&path, file(&archive, layer.as_str().unwrap())).unwrap();
            let listed = String::from_utf8(tar(&["--list"], &path)).unwrap();
            held.extend(
                listed
                    .lines()
                    .filter(|path| !path.ends_with('/'))
                    .map(|path| path.trim_start_matches("./").to_owned()),
            );
        }
        held.sort();
        let mut expected = [
            executable(name),
            "etc/ssl/certs/ca-certificates.crt".to_owned(),
        ];
        expected.sort();
        assert_eq!(held, expected);
    }
}

#[test]
#[ignore = "needs the images: tests/run cluster"]
fn an_image_runs_as_nobody_and_says_what_it_is() {
    for name in NAMES {
        let archive = archive(name);
        let path = manifest(&archive)["Config"].as_str().unwrap().to_owned();
        let config = json(&archive, &path)["config"].clone();
        assert_eq!(config["User"], "65532:65532", "{config:#}");
        assert_eq!(
            config["Entrypoint"][0],
            format!("/{}", executable(name)),
            "{config:#}"
        );
        for label in [
            "title",
            "description",
            "licenses",
            "version",
            "revision",
            "vendor",
        ] {
            let told = &config["Labels"][format!("org.opencontainers.image.{label}")];
            assert!(
                told.as_str().is_some_and(|told| !told.is_empty()),
                "{label}: {config:#}"
            );
        }
    }
}
