//! Every benchmark, end to end in quick mode, with the stub in the gateway's place.

use std::{fs, path::Path, process::Command};

#[test]
fn every_benchmark_runs_and_writes_its_table_its_numbers_and_its_plot() {
    let bench = Path::new(env!("CARGO_BIN_EXE_linnet-bench"));
    // Cargo builds examples along with tests, into a folder beside the binaries.
    let stub = bench.parent().unwrap().join("examples/stub_gateway");
    let out = tempfile::tempdir().unwrap();
    let run = Command::new(bench)
        .args(["--quick", "--gateway"])
        .arg(stub)
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    for name in [
        "fanout", "memory", "connect", "flood10k", "idle", "fairness",
    ] {
        let read =
            |extension| fs::read_to_string(out.path().join(format!("{name}.{extension}"))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&read("json")).unwrap();
        assert!(
            json["quick"].as_bool().unwrap() && !json["rows"].as_array().unwrap().is_empty(),
            "{json}"
        );
        assert!(read("md").contains("| target"), "{name}");
        assert!(read("svg").trim_end().ends_with("</svg>"), "{name}");
    }
}
