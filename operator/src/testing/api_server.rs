//! An API server in memory: it keeps what is applied, adds defaults as the real one does, and remembers every write.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// An API server. Clones are the same one.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By the path of their URL.
    objects: BTreeMap<String, Value>,
    writes: Vec<Write>,
    events: Vec<Value>,
    forbidden: Vec<(Method, String)>,
    missing_apis: Vec<String>,
    ending: bool,
    clock: u64,
}

/// A write that arrived, whatever its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Its method.
    pub method: Method,
    /// The object's path.
    pub path: String,
    /// What it holds.
    pub body: Value,
}

impl ApiServer {
    /// A client of it.
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Has an object there from the start.
    pub fn put(&self, path: &str, object: Value) {
        let mut state = self.0.lock().unwrap();
        state.store(path, object);
    }

    /// Changes an object behind everybody's back.
    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut state = self.0.lock().unwrap();
        edit(state.objects.get_mut(path).unwrap());
    }

    /// Takes an object away behind everybody's back.
    pub fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// Refuses a method on all paths that hold `part`.
    pub fn forbid(&self, method: Method, part: &str) {
        self.0
            .lock()
            .unwrap()
            .forbidden
            .push((method, part.to_owned()));
    }

    /// Allows everything again.
    pub fn allow(&self) {
        self.0.lock().unwrap().forbidden.clear();
    }

    /// Does not know the API with this part in its paths.
    pub fn lacks(&self, part: &str) {
        self.0.lock().unwrap().missing_apis.push(part.to_owned());
    }

    /// Makes nothing new any more: all namespaces are being deleted.
    pub fn end(&self) {
        self.0.lock().unwrap().ending = true;
    }

    /// The writes since the last time, events aside.
    pub fn writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    /// The reasons of the events since the last time.
    pub fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut self.0.lock().unwrap().events);
        events
            .iter()
            .map(|event| event["reason"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        self.0.lock().unwrap().answer(&parts.method, &path, body)
    }
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> Response<Body> {
        let object = path.trim_end_matches("/status");
        if path.contains("/events") {
            self.events.push(body.clone());
            return respond(201, &body);
        }
        if self.missing_apis.iter().any(|part| path.contains(part)) {
            return text(404, "404 page not found\n");
        }
        if method != Method::GET {
            self.writes.push(Write {
                method: method.clone(),
                path: path.to_owned(),
                body: body.clone(),
            });
        }
        if self
            .forbidden
            .iter()
            .any(|(m, part)| m == method && path.contains(part))
        {
            return refuse(403, "Forbidden", &format!("{path} is forbidden"), object);
        }
        if self.ending && *method == Method::PATCH && !self.objects.contains_key(object) {
            return ending(object);
        }
        match *method {
            Method::GET if object.ends_with("/pods") => self.list(object),
            Method::GET => match self.objects.get(object) {
                Some(found) => respond(200, found),
                None => not_found(object),
            },
            Method::PATCH if path.ends_with("/status") => {
                let Some(found) = self.objects.get_mut(object) else {
                    return not_found(object);
                };
                found["status"] = body["status"].clone();
                respond(200, found)
            }
            Method::PATCH => {
                let mut new = self.objects.get(object).cloned().unwrap_or_default();
                let stranger = !body["metadata"]["uid"].is_null()
                    && body["metadata"]["uid"] != new["metadata"]["uid"];
                if stranger {
                    return refuse(409, "Conflict", "uid mismatch", object);
                }
                merge(&mut new, body);
                self.store(object, new);
                respond(200, &self.objects[object])
            }
            Method::DELETE => match self.objects.remove(object) {
                Some(found) => respond(200, &found),
                None => not_found(object),
            },
            _ => refuse(405, "MethodNotAllowed", "no", object),
        }
    }

    /// Keeps an object as the real server does: with identity, versions and defaults.
    fn store(&mut self, path: &str, mut object: Value) {
        self.clock += 1;
        let metadata = &mut object["metadata"];
        if metadata["uid"].is_null() {
            metadata["uid"] = format!("uid-{}", self.clock).into();
        }
        metadata["resourceVersion"] = self.clock.to_string().into();
        metadata["managedFields"] = json!([{"manager": "linnet-operator"}]);
        if path.contains("/deployments/") {
            let pod = &mut object["spec"]["template"]["spec"];
            pod["dnsPolicy"] = "ClusterFirst".into();
            pod["containers"][0]["terminationMessagePath"] = "/dev/termination-log".into();
        }
        if path.contains("/services/") {
            object["spec"]["internalTrafficPolicy"] = "Cluster".into();
        }
        self.objects.insert(path.to_owned(), object);
    }

    fn list(&self, collection: &str) -> Response<Body> {
        let prefix = format!("{collection}/");
        let items: Vec<_> = self
            .objects
            .iter()
            .filter(|(path, _)| path.starts_with(&prefix))
            .map(|(_, object)| object)
            .collect();
        respond(
            200,
            &json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}),
        )
    }
}

/// JSON merge (RFC 7396); lists are replaced.
fn merge(into: &mut Value, from: Value) {
    if from.is_object() && !into.is_object() {
        *into = json!({});
    }
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match value {
                    Value::Null => {
                        into.remove(&key);
                    }
                    value => merge(into.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (into, from) => *into = from,
    }
}

fn not_found(path: &str) -> Response<Body> {
    refuse(404, "NotFound", &format!("{path} is not there"), path)
}

/// As the admission plugin NamespaceLifecycle answers.
fn ending(path: &str) -> Response<Body> {
    let message = "unable to create new content in namespace talk because it is being terminated";
    let mut status = refusal(403, "Forbidden", message, path);
    status["details"]["causes"] = json!([{
        "reason": "NamespaceTerminating", "message": "namespace talk is being terminated", "field": "metadata.namespace",
    }]);
    respond(403, &status)
}

fn refuse(code: u16, reason: &str, message: &str, path: &str) -> Response<Body> {
    respond(code, &refusal(code, reason, message, path))
}

fn refusal(code: u16, reason: &str, message: &str, path: &str) -> Value {
    let name = path.rsplit('/').next().unwrap_or_default();
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": message, "details": {"name": name},
    })
}

fn respond(code: u16, body: &Value) -> Response<Body> {
    text(code, &body.to_string())
}

fn text(code: u16, body: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(body.as_bytes().to_vec()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
