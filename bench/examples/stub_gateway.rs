//! The tests' stub behind the gateway's command line: lets the benchmarks be tried without the gateway.

#[path = "../tests/stub/mod.rs"]
mod stub;

fn main() {
    let address = stub::start(stub::Fault::None, std::time::Duration::from_secs(1));
    println!("listening public={address} internal={address}");
    loop {
        std::thread::park();
    }
}
