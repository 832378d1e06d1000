//! Who is in a room.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;
use linnet_tests::raw::text;

fn manifest() -> Manifest {
    Manifest::unhurried()
        .room(json!({"match": "full.*", "presence": {"mode": "Full"}}))
        .room(json!({"match": "few.*", "presence": {"mode": "Full", "maxMembers": 3}}))
        .room(json!({"match": "count.*", "presence": {"mode": "Count"}}))
}

/// Subscribes with presence frames; gives the version that they go on from.
async fn watch(client: &mut Client, room: &str) -> u64 {
    let request = json!({"type": "subscribe", "room": room, "presence": true});
    client.ack(request).await;
    // The client's own join may or may not be shown to it; it is over once a snapshot has it.
    snapshot(client, room).await["version"].as_u64().unwrap()
}

async fn snapshot(client: &mut Client, room: &str) -> Value {
    client.ack(json!({"type": "presence", "room": room})).await
}

fn ids(members: &Value) -> Vec<String> {
    let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids = members
        .iter()
        .map(|member| member["connection_id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// Reads presence frames until `test` likes one; every version is one more than the last.
async fn frame(client: &mut Client, version: &mut u64, test: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = client.next_of("presence").await;
        assert_eq!(frame["version"], *version + 1, "{frame}");
        *version += 1;
        if test(&frame) {
            return frame;
        }
    }
}

#[test]
fn members_are_seen_to_join_and_leave() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = gateway.client_with("name=Ann").await;
        let mut version = watch(&mut ann, "full.a").await;
        let ann_id = ann.id();

        let mut bob = gateway.client_with("name=Bob").await;
        bob.subscribe("full.a").await;
        let bob_id = bob.id();
        let join = frame(&mut ann, &mut version, |frame| {
            ids(&frame["join"]).contains(&bob_id)
        })
        .await;
        assert_eq!(join["room"], "full.a");
        let members = join["join"].as_array().unwrap();
        let entry = members
            .iter()
            .find(|member| member["connection_id"] == bob_id)
            .unwrap();
        assert_eq!(entry["info"], json!({"name": "Bob"}));

        let now = snapshot(&mut ann, "full.a").await;
        let mut both = vec![ann_id, bob_id.clone()];
        both.sort();
        assert_eq!(ids(&now["members"]), both, "sorted by connection_id");
        assert_eq!(now["version"], version);
        assert_eq!(now["more"], false);

        bob.ack(json!({"type": "unsubscribe", "room": "full.a"}))
            .await;
        frame(&mut ann, &mut version, |frame| {
            ids(&frame["leave"]) == [bob_id.clone()]
        })
        .await;
        bob.subscribe("full.a").await;
        frame(&mut ann, &mut version, |frame| {
            ids(&frame["join"]) == [bob_id.clone()]
        })
        .await;
        bob.cut();
        frame(&mut ann, &mut version, |frame| {
            ids(&frame["leave"]) == [bob_id.clone()]
        })
        .await;
    });
}

#[test]
fn a_join_and_a_leave_inside_the_window_cancel() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = gateway.client().await;
        let mut version = watch(&mut ann, "full.a").await;
        // One who is there, so that frames flow: the window that held Bob's visit is over when her leave is told.
        let mut carol = gateway.client().await;
        carol.subscribe("full.a").await;
        let carol_id = carol.id();
        frame(&mut ann, &mut version, |frame| {
            ids(&frame["join"]).contains(&carol_id)
        })
        .await;

        let mut bob = Raw::upgraded(gateway.public, "").await;
        let bob_id = bob.read_json().await["connection_id"].clone();
        // In one write, so that nothing comes between.
        let visit: Vec<u8> = ["subscribe", "unsubscribe"]
            .into_iter()
            .flat_map(|kind| text(&json!({"type": kind, "room": "full.a", "id": kind}).to_string()))
            .collect();
        bob.send(&visit).await;
        for kind in ["subscribe", "unsubscribe"] {
            let ack = bob.read_json().await;
            assert_eq!((&ack["type"], &ack["id"]), (&json!("ack"), &json!(kind)));
        }
        let bob_id = bob_id.as_str().unwrap().to_owned();
        carol
            .ack(json!({"type": "unsubscribe", "room": "full.a"}))
            .await;
        let quiet = |frame: &Value| {
            let told = [ids(&frame["join"]), ids(&frame["leave"])].concat();
            assert!(
                !told.contains(&bob_id),
                "a visit that cancelled was told: {frame}"
            );
            ids(&frame["leave"]).contains(&carol_id)
        };
        frame(&mut ann, &mut version, quiet).await;
    });
}

#[test]
fn joins_of_a_moment_come_in_one_frame() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = gateway.client().await;
        let mut version = watch(&mut ann, "full.a").await;
        let first = version;
        let mut others = Vec::new();
        for _ in 0..20 {
            others.push(gateway.client().await);
        }
        for other in &mut others {
            other
                .send(json!({"type": "subscribe", "room": "full.a"}))
                .await;
        }
        let mut seen = 0;
        while seen < 20 {
            let joined = frame(&mut ann, &mut version, |_| true).await;
            let told = ids(&joined["join"]);
            seen += told
                .iter()
                .filter(|id| others.iter().any(|other| other.id() == **id))
                .count();
        }
        // Twenty joins in a burst: far fewer frames, however slow the machine is.
        assert!(
            version - first <= 10,
            "{} frames for 20 joins",
            version - first
        );
    });
}

#[test]
fn beyond_max_members_a_frame_tells_the_count_instead() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = gateway.client().await;
        let mut version = watch(&mut ann, "few.a").await;
        let mut others = Vec::new();
        for _ in 0..4 {
            let mut other = gateway.client().await;
            other.subscribe("few.a").await;
            others.push(other);
        }
        let count = frame(&mut ann, &mut version, |frame| frame["count"] == 5).await;
        assert!(
            count.get("join").is_none() && count.get("leave").is_none(),
            "{count}"
        );
        let now = snapshot(&mut ann, "few.a").await;
        assert_eq!(now["count"], 5);
        assert!(now.get("members").is_none(), "{now}");
    });
}

#[test]
fn a_counted_room_names_nobody() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = gateway.client().await;
        let mut version = watch(&mut ann, "count.a").await;
        let mut bob = gateway.client().await;
        bob.subscribe("count.a").await;
        let told = frame(&mut ann, &mut version, |frame| frame["count"] == 2).await;
        assert!(told.get("join").is_none(), "{told}");
        let now = snapshot(&mut ann, "count.a").await;
        assert_eq!((&now["count"], now.get("members")), (&json!(2), None));
    });
}

#[test]
fn a_long_member_list_comes_in_pages() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut members = Vec::new();
        for _ in 0..130 {
            let mut member = gateway.client().await;
            member.subscribe("full.a").await;
            members.push(member);
        }
        let mut expected: Vec<String> = members.iter().map(Client::id).collect();
        expected.sort();
        // A snapshot is as of the last merged frame, so the last who came may be missing for a moment.
        let gateway = &gateway;
        let (first, second) = until("130 members", || async move {
            let mut ann = gateway.client().await;
            let first = snapshot(&mut ann, "full.a").await;
            let last = ids(&first["members"]).pop();
            let next = json!({"type": "presence", "room": "full.a", "after": last});
            let second = if first["more"] == true {
                ann.ack(next).await
            } else {
                return None;
            };
            (ids(&second["members"]).len() == 30).then_some((first, second))
        })
        .await;
        let mut seen = ids(&first["members"]);
        assert_eq!((seen.len(), &second["more"]), (100, &json!(false)));
        seen.extend(ids(&second["members"]));
        assert_eq!(seen, expected);
    });
}

#[test]
fn a_room_without_presence_has_none_to_tell() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = gateway.client().await;
        client.subscribe("elsewhere").await;
        let request = json!({"type": "presence", "room": "elsewhere"});
        client.refused(request, "no_presence").await;
        // To ask for its frames is no error: a rule may switch presence on later.
        let request = json!({"type": "subscribe", "room": "elsewhere", "presence": true});
        client.ack(request).await;
    });
}
