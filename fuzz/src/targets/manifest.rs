//! Manifests: whatever the text, there is an answer, and what is accepted can be compiled.

use linnet_gateway::config::Channel;

/// The bytes as YAML.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(manifest) = linnet_crds::check(text) {
        let channel = Channel::compile(&manifest);
        assert!(channel.path.starts_with('/') && channel.path.ends_with('/'));
    }
    if let Err(problems) = linnet_crds::check_managed(text) {
        assert!(
            problems.iter().next().is_some(),
            "a refusal names a problem"
        );
    }
}
