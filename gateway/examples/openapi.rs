//! Writes the OpenAPI document of the server APIs to standard output.

fn main() {
    print!("{}", linnet_gateway::api::openapi::text());
}
