//! Manifests with one thing wrong.

/// Fields, then the problem that they have. The paths start with `spec`.
pub(super) const BAD: &[(&str, &str)] = &[
    (
        "  limits: {messageSize: 64Kx}",
        "limits.messageSize: \"64Kx\": expected a quantity such as 64Ki",
    ),
    (
        "  limits: {messagSize: 64Ki}",
        "limits.messagSize: unknown field, did you mean messageSize?",
    ),
    (
        "  heartbeat: {every: 3}",
        "heartbeat.every: unknown field, expected one of intervalSeconds, timeoutSeconds",
    ),
    (
        "  replicas: many",
        "replicas: \"many\": expected a whole number",
    ),
    (
        "  replicas: 1.5",
        "replicas: \"1.5\": expected a whole number",
    ),
    (
        "  replicas: \"2\"",
        "replicas: \"2\": expected a whole number",
    ),
    ("  replicas: -1", "replicas: -1: must be from 0 to 10000"),
    (
        "  replicas: 99999999999999999999",
        "replicas: \"99999999999999999999\": expected a whole number",
    ),
    (
        "  rollout: {drainSeconds: 3601}",
        "rollout.drainSeconds: 3601: must be from 0 to 3600",
    ),
    (
        "  rollout: {drainSeconds: 010}",
        "rollout.drainSeconds: \"010\": expected a whole number without leading zeros",
    ),
    (
        "  console: enabled",
        "console: \"enabled\": expected one of Disabled, Enabled, did you mean Enabled?",
    ),
    (
        "  console: true",
        "console: \"true\": expected one of Disabled, Enabled",
    ),
    ("  limits: 5", "limits: expected an object, found 5"),
    ("  limits: [a]", "limits: expected an object, found a list"),
    (
        "  rooms: {match: a}",
        "rooms: expected a list, found an object",
    ),
    ("  rooms: [{subscribe: Nobody}]", "rooms[0].match: required"),
    ("  rooms: [{match: null}]", "rooms[0].match: required"),
    (
        "  rooms: [{match: \"\"}]",
        "rooms[0].match: must not be empty",
    ),
    (
        "  rooms: [{match: 5}]",
        "rooms[0].match: 5 is a number: put it in quotes to make it text",
    ),
    (
        "  rooms: [{match: a}, {match: \"x.{room}\"}]",
        "rooms[1].match: unknown template {room}: only {user_id} is known",
    ),
    (
        "  rooms: [{match: \"a{\"}]",
        "rooms[0].match: \"a{\": '{' without '}' behind it",
    ),
    (
        "  rooms: [{match: \"a}\"}]",
        "rooms[0].match: \"a}\": '}' without '{' before it",
    ),
    (
        "  rooms: [{match: \"a\\tb\"}]",
        "rooms[0].match: \"a\\tb\": names of rooms hold no control characters",
    ),
    (
        "  rooms: [{match: a, schema: text}]",
        "rooms[0].schema: expected an object, found \"text\"",
    ),
    (
        "  rooms: [{match: a, publish: Claim}]",
        "rooms: Authenticated and Claim need authentication.jwt",
    ),
    (
        "  expose: {path: /chat/}",
        "expose.path: \"/chat/\": expected a path such as /chat, without a slash at its end",
    ),
    (
        "  expose: {path: /../x}",
        "expose.path: \"/../x\": expected a path such as /chat, without a slash at its end",
    ),
    (
        "  expose: {hosts: [a.example, a.example]}",
        "expose.hosts[1]: given twice",
    ),
    (
        "  expose: {ingress: {}, httpRoute: {parentRefs: [{name: g}]}}",
        "expose.httpRoute: set one of ingress and httpRoute, or neither",
    ),
    (
        "  expose: {httpRoute: {parentRefs: []}}",
        "expose.httpRoute.parentRefs: 0 items: at least 1 must be given",
    ),
    (
        "  gateway: {env: [{name: A}, {name: A}]}",
        "gateway.env[1]: an earlier item has the same name",
    ),
    (
        "  gateway: {env: [{name: A, value: true}]}",
        "gateway.env[0].value: true is a boolean: put it in quotes to make it text",
    ),
    (
        "  service: {loadBalancerClass: x}",
        "service.loadBalancerClass: loadBalancerClass needs type LoadBalancer",
    ),
    (
        "  service: {externalTrafficPolicy: Local}",
        "service.externalTrafficPolicy: externalTrafficPolicy needs type NodePort or LoadBalancer",
    ),
    (
        "  rollout: {maxSurge: 0}",
        "rollout.maxSurge: 0: must be a number from 1 to 10000, or a percentage from 1% to 100%",
    ),
    (
        "  rollout: {maxSurge: 0%}",
        "rollout.maxSurge: \"0%\": must be a number from 1 to 10000, or a percentage from 1% to 100%",
    ),
    (
        "  autoscaling: {minReplicas: 4, maxReplicas: 3}",
        "autoscaling: minReplicas must not be more than maxReplicas",
    ),
    (
        "  autoscaling: {maxReplicas: 3, targetConnections: 20001}",
        "autoscaling: autoscaling.targetConnections must not be more than limits.connectionsPerGateway",
    ),
    (
        "  history: {maxAgeSeconds: 60}",
        "history.deduplicationSeconds: deduplicationSeconds must not be more than maxAgeSeconds",
    ),
    (
        "  limits: {messageSize: 17Mi}",
        "limits.messageSize: \"17Mi\": must be from 1 to 16Mi",
    ),
    (
        "  limits: {messageSize: 16777217}",
        "limits.messageSize: 16777217: must be from 1 to 16Mi",
    ),
    (
        "  limits: {bytesPerSecond: 0}",
        "limits.bytesPerSecond: 0: must be from 1 to 16Gi",
    ),
    (
        "  limits: {sendQueueSize: 1Ki}",
        "limits.sendQueueSize: \"1Ki\": must be from 16Ki to 256Mi",
    ),
    (
        "  limits: {queueMemory: 2Ti}",
        "limits.queueMemory: \"2Ti\": must be from 16Ki to 1Ti",
    ),
    (
        "  limits: {historyMemory: 1e6}",
        "limits.historyMemory: 1e6: a number that is not whole must stand in quotes",
    ),
    (
        "  broker: {nats: {urls: [http://n]}}",
        "broker.nats.urls[0]: \"http://n\": expected a URL such as nats://nats.example:4222",
    ),
    ("  broker: {}", "broker.nats: required"),
    (
        "  rooms: [{match: a, delivery: Worker}]",
        "history: rooms with delivery: Worker need history: workers put their output there",
    ),
    (
        "  history: {}\n  rooms: [{match: a, delivery: Worker, history: Disabled}]",
        "rooms: a room with delivery: Worker can't have history: Disabled: workers put their output there",
    ),
    (
        "  history: {deduplicationSeconds: 10}\n  rooms: [{match: a, delivery: Worker}]",
        "workers.acknowledgeSeconds: workers.acknowledgeSeconds must be less than history.deduplicationSeconds, or output could double",
    ),
    (
        "  rollout: {rebalance: Paced}",
        "rollout.rebalance: Paced needs service.sessionAffinity: None: a client whose address is kept on its gateway comes straight back",
    ),
    (
        "  workers: {partitions: 65}",
        "workers.partitions: 65: must be from 1 to 64",
    ),
    (
        "  handler: {events: [connect]}",
        "handler: set exactly one of url and natsSubject",
    ),
    (
        "  handler: {url: \"http://x\", natsSubject: x, events: [connect]}",
        "handler: set exactly one of url and natsSubject",
    ),
    (
        "  authentication: {}",
        "authentication: nobody could connect: set authentication.jwt, or authentication.anonymous: Allow",
    ),
    (
        "  authentication: {jwt: {}}",
        "authentication.jwt: set exactly one of jwksUri and keySecretName",
    ),
    (
        "  authentication: {jwt: {jwksUri: \"https://x\", algorithms: [HS256]}}",
        "authentication.jwt.algorithms: HS algorithms need keySecretName: a published key is no secret",
    ),
    (
        "  authentication: {anonymous: Allow, queryToken: Allow}",
        "authentication.queryToken: queryToken: Allow needs jwt",
    ),
    (
        "  authentication: {anonymous: Allow, trustedProxies: [10.0.0.0/99]}",
        "authentication.trustedProxies: must be networks in CIDR notation, such as 10.0.0.0/8",
    ),
    (
        "  authentication: {anonymous: Allow, allowedOrigins: [\"http://a/b\"]}",
        "authentication.allowedOrigins[0]: \"http://a/b\": expected an origin such as https://app.example.com or https://*.example.com, without a path, \"null\" or \"*\"",
    ),
    (
        "  transports: {socketIo: {mode: Enabled}}",
        "transports.socketIo: unknown field, did you mean socketIO?",
    ),
    (
        "  console: Disabled\n  console: Enabled",
        "console: given twice, first on line 6",
    ),
    (
        "  limits: {<<: {messageBurst: 3}}",
        "limits[<<]: merge keys are not supported: write the fields out",
    ),
    ("  console: !secret Enabled", "console: unknown tag !secret"),
];
