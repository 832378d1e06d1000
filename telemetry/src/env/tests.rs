use std::collections::HashMap;

use super::*;

fn settings(endpoint: Option<&str>, variables: &[(&str, &str)]) -> Settings {
    let variables: HashMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let own = Own {
        service: "linnet-gateway".into(),
        resource: vec![("service.version".into(), "1".into())],
        endpoint: endpoint.map(str::to_owned),
    };
    read(&own, |name| variables.get(name).cloned())
}

fn traces(endpoint: Option<&str>, variables: &[(&str, &str)]) -> Target {
    settings(endpoint, variables).traces.unwrap()
}

#[test]
fn nothing_is_sent_without_an_endpoint() {
    assert!(!settings(None, &[]).is_on());
    assert!(!settings(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).is_on());
    assert!(settings(Some("http://c:4318"), &[]).is_on());
    let both = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")];
    assert!(settings(None, &both).is_on());
}

#[test]
fn the_environment_holds_before_the_manifest_and_a_signal_s_own_variable_before_that_of_all() {
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/");
    let one = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://one:4318/mine");
    assert_eq!(
        traces(Some("http://m:4318"), &[]).url,
        "http://m:4318/v1/traces"
    );
    assert_eq!(
        traces(Some("http://m:4318"), &[all]).url,
        "http://all:4318/v1/traces"
    );
    let settings = settings(Some("http://m:4318"), &[all, one]);
    assert_eq!(settings.traces.unwrap().url, "http://one:4318/mine");
    assert_eq!(settings.metrics.unwrap().url, "http://all:4318/v1/metrics");
}

#[test]
fn the_protocol_follows_the_port_unless_it_is_named() {
    let of = |url, variables: &[(&str, &str)]| traces(Some(url), variables).protocol;
    assert_eq!(of("http://c:4317", &[]), Protocol::Grpc);
    assert_eq!(of("http://c:4318", &[]), Protocol::HttpProtobuf);
    assert_eq!(of("http://c", &[]), Protocol::HttpProtobuf);
    let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    assert_eq!(of("http://c:4318", &grpc), Protocol::Grpc);
    let http = [("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")];
    assert_eq!(of("http://c:4317", &http), Protocol::HttpProtobuf);
    let json = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let settings = settings(Some("http://c:4318"), &json);
    assert!(settings.complaints[0].contains("http/json"));
    assert_eq!(settings.complaints.len(), 1, "said once");
}

#[test]
fn a_grpc_endpoint_without_a_scheme_is_encrypted_unless_told_otherwise() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    assert_eq!(traces(Some("c:4317"), &[grpc]).url, "https://c:4317");
    assert_eq!(
        traces(Some("c:4317"), &[grpc, insecure]).url,
        "http://c:4317"
    );
}

#[test]
fn headers_are_decoded_and_never_shown() {
    let headers = [(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "api-key=se%63ret%3D, b = c ,broken",
    )];
    let settings = settings(Some("http://c"), &headers);
    let target = settings.traces.as_ref().unwrap();
    let expected = [("api-key", "secret="), ("b", "c")];
    let got: Vec<_> = target
        .headers
        .0
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(got, expected);
    assert!(settings.complaints[0].contains("entry 3"));
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn one_kind_or_all_can_be_switched_off() {
    let off = |name: &str, value: &str| settings(Some("http://c"), &[(name, value)]);
    assert!(!off("OTEL_SDK_DISABLED", "TRUE").is_on());
    assert!(off("OTEL_SDK_DISABLED", "yes").is_on(), "only true is true");
    let metrics_only = off("OTEL_TRACES_EXPORTER", "none");
    assert!(metrics_only.traces.is_none() && metrics_only.metrics.is_some());
    let traces_only = off("OTEL_METRICS_EXPORTER", "prometheus");
    assert!(traces_only.metrics.is_none() && traces_only.complaints.is_empty());
    assert!(!off("OTEL_TRACES_EXPORTER", "zipkin").complaints.is_empty());
}

#[test]
fn the_service_is_named_by_its_variable_then_by_the_attributes() {
    let name = |variables: &[(&str, &str)]| {
        let resource = settings(None, variables).resource;
        let found = resource.iter().find(|(name, _)| name == "service.name");
        (found.unwrap().1.clone(), resource.len())
    };
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=x%20y");
    assert_eq!(name(&[]), ("linnet-gateway".into(), 2));
    assert_eq!(name(&[attributes]), ("a".into(), 3));
    assert_eq!(
        name(&[attributes, ("OTEL_SERVICE_NAME", "b")]),
        ("b".into(), 3)
    );
}

#[test]
fn samplers_are_rates_in_a_million() {
    let rate = |sampler, arg| {
        let variables = [
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", arg),
        ];
        settings(None, &variables).sampling
    };
    assert_eq!(rate("always_on", ""), Some(1_000_000));
    assert_eq!(rate("parentbased_always_off", ""), Some(0));
    assert_eq!(rate("parentbased_traceidratio", "0.25"), Some(250_000));
    assert_eq!(rate("traceidratio", "much"), Some(1_000_000));
    assert_eq!(rate("jaeger_remote", ""), None);
    assert_eq!(settings(None, &[]).sampling, None);
}

#[test]
fn batches_limits_and_times_are_read_and_faults_are_told() {
    let settings = settings(
        Some("http://c"),
        &[
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "250"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "7"),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "30"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_PROPAGATORS", "b3"),
        ],
    );
    assert_eq!((settings.batch.queue, settings.batch.size), (100, 100));
    assert_eq!(settings.batch.delay, Duration::from_millis(250));
    assert_eq!(
        settings.limits,
        Limits {
            attributes: 9,
            characters: 30,
            links: 7
        }
    );
    assert_eq!(settings.metric_interval, Duration::from_secs(60));
    assert!(settings.complaints[0].starts_with("OTEL_METRIC_EXPORT_INTERVAL=soon"));
    let target = settings.traces.unwrap();
    assert_eq!(target.timeout, Duration::from_millis(2500));
    assert!(target.gzip);
    assert_eq!(target.tls.certificate, Some("/ca.pem".into()));
    assert!(!settings.propagates);
}
