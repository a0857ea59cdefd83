//! Bodies in Kubernetes' protobuf form, which kubectl sends for the kinds that it knows itself
//! (`kubectl create secret`, `kubectl auth can-i`), whatever the server says that it takes.
//!
//! Read are the fields that kubectl's own commands set. What else has a value is refused: nothing is
//! lost without a word. Numbers and names are those of the `generated.proto` files of k8s.io/api.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::world::embedded::error::ApiError;

/// The `Content-Type` of such bodies.
pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What such a body begins with; a `runtime.Unknown` follows.
const MAGIC: &[u8] = b"k8s\0";

/// A field: its number, its name in JSON, its type.
type Field = (u64, &'static str, Type);

#[derive(Clone, Copy)]
enum Type {
    /// Left out where it is empty: that is how an unset one is sent.
    Text,
    Texts,
    /// Left out where it is 0.
    Int,
    /// A number whose 0 means something.
    Count,
    Labels,
    /// A map of names to bytes.
    Blobs,
    One(&'static [Field]),
    Many(&'static [Field]),
    /// A number or a text.
    IntOrText,
    /// Only the server sets it.
    Ignored,
}

use Type::{Blobs, Count, Ignored, Int, IntOrText, Labels, Many, One, Text, Texts};

const METADATA: Field = (1, "metadata", One(OBJECT_META));

const OBJECT_META: &[Field] = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (8, "creationTimestamp", Ignored),
    (11, "labels", Labels),
    (12, "annotations", Labels),
    (14, "finalizers", Texts),
];

const SECRET: &[Field] = &[
    METADATA,
    (2, "data", Blobs),
    (3, "type", Text),
    (4, "stringData", Labels),
];

const CONFIG_MAP: &[Field] = &[METADATA, (2, "data", Labels), (3, "binaryData", Blobs)];

const NAMESPACE: &[Field] = &[METADATA, (3, "status", Ignored)];

const SERVICE_ACCOUNT: &[Field] = &[METADATA];

const SERVICE: &[Field] = &[METADATA, (2, "spec", One(SERVICE_SPEC)), (3, "status", Ignored)];

const SERVICE_SPEC: &[Field] = &[
    (1, "ports", Many(SERVICE_PORT)),
    (2, "selector", Labels),
    (3, "clusterIP", Text),
    (4, "type", Text),
    (10, "externalName", Text),
];

const SERVICE_PORT: &[Field] = &[
    (1, "name", Text),
    (2, "protocol", Text),
    (3, "port", Int),
    (4, "targetPort", IntOrText),
    (5, "nodePort", Int),
];

const DEPLOYMENT: &[Field] = &[METADATA, (2, "spec", One(DEPLOYMENT_SPEC)), (3, "status", Ignored)];

const DEPLOYMENT_SPEC: &[Field] = &[
    (1, "replicas", Count),
    (2, "selector", One(&[(1, "matchLabels", Labels)])),
    (3, "template", One(&[METADATA, (2, "spec", One(POD_SPEC))])),
    (4, "strategy", One(&[(1, "type", Text)])),
];

const POD_SPEC: &[Field] = &[
    (2, "containers", Many(CONTAINER)),
    (3, "restartPolicy", Text),
    (8, "serviceAccountName", Text),
];

const CONTAINER: &[Field] = &[
    (1, "name", Text),
    (2, "image", Text),
    (3, "command", Texts),
    (4, "args", Texts),
    (5, "workingDir", Text),
    (6, "ports", Many(CONTAINER_PORT)),
    (14, "imagePullPolicy", Text),
];

const CONTAINER_PORT: &[Field] = &[
    (1, "name", Text),
    (2, "hostPort", Int),
    (3, "containerPort", Int),
    (4, "protocol", Text),
];

const ACCESS_REVIEW: &[Field] = &[METADATA, (2, "spec", One(ACCESS_REVIEW_SPEC)), (3, "status", Ignored)];

const ACCESS_REVIEW_SPEC: &[Field] = &[
    (1, "resourceAttributes", One(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", One(&[(1, "path", Text), (2, "verb", Text)])),
];

const RESOURCE_ATTRIBUTES: &[Field] = &[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
];

const RULES_REVIEW: &[Field] = &[
    METADATA,
    (2, "spec", One(&[(1, "namespace", Text)])),
    (3, "status", Ignored),
];

/// The envelope: which kind it is, and the object's own bytes.
const TYPE_META: &[Field] = &[(1, "apiVersion", Text), (2, "kind", Text)];

/// The object of a body, as JSON has it.
///
/// # Errors
/// 400 if it is malformed, 415 for a kind or a field that isn't read.
pub fn object(body: &[u8]) -> Result<Value, ApiError> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let mut types = Map::new();
    let mut raw: &[u8] = &[];
    let mut wire = Wire(envelope);
    while let Some((number, part)) = wire.next()? {
        match (number, part) {
            (1, Part::Bytes(bytes)) => types = message(TYPE_META, bytes, "typeMeta")?,
            (2, Part::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let of = |name: &str| types.get(name).and_then(Value::as_str).unwrap_or_default();
    let fields = match (of("apiVersion"), of("kind")) {
        ("v1", "Secret") => SECRET,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        ("v1", "Service") => SERVICE,
        ("apps/v1", "Deployment") => DEPLOYMENT,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => RULES_REVIEW,
        (_, kind) => return Err(not_read(&format!("a {kind}"))),
    };
    let mut object = types.clone();
    object.extend(message(fields, raw, of("kind"))?);
    Ok(Value::Object(object))
}

fn malformed() -> ApiError {
    ApiError::bad_request("the object provided is unrecognized: it is no protobuf of Kubernetes")
}

fn not_read(what: &str) -> ApiError {
    let message = format!(
        "the embedded cluster does not read {what} as protobuf: write it to a file \
         (`--dry-run=client -o yaml`), and `kubectl apply -f` that"
    );
    ApiError::new(415, "UnsupportedMediaType", message)
}

/// A message as a JSON map. `of` names it in errors.
fn message(fields: &[Field], bytes: &[u8], of: &str) -> Result<Map<String, Value>, ApiError> {
    let mut object = Map::new();
    let mut wire = Wire(bytes);
    while let Some((number, part)) = wire.next()? {
        let Some((_, name, kind)) = fields.iter().find(|(known, ..)| *known == number) else {
            if part.is_set() {
                return Err(not_read(&format!("field {number} of {of}")));
            }
            continue;
        };
        match (kind, part) {
            (Ignored, _) => {}
            (Text, Part::Bytes(bytes)) => {
                let text = text(bytes)?;
                if !text.is_empty() {
                    object.insert((*name).to_owned(), text.into());
                }
            }
            (Int, Part::Number(0)) => {}
            (Int | Count, Part::Number(number)) => {
                object.insert((*name).to_owned(), signed(number).into());
            }
            (One(fields), Part::Bytes(bytes)) => {
                object.insert((*name).to_owned(), message(fields, bytes, name)?.into());
            }
            (IntOrText, Part::Bytes(bytes)) => {
                object.insert((*name).to_owned(), int_or_text(bytes)?);
            }
            (Texts, Part::Bytes(bytes)) => add(&mut object, name, text(bytes)?.into()),
            (Many(fields), Part::Bytes(bytes)) => {
                let one = message(fields, bytes, name)?;
                add(&mut object, name, one.into());
            }
            (Labels | Blobs, Part::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                let value = match kind {
                    Blobs => STANDARD.encode(value),
                    _ => text(value)?,
                };
                let map = object.entry(*name).or_insert_with(|| Map::new().into());
                if let Value::Object(map) = map {
                    map.insert(key, value.into());
                }
            }
            _ => return Err(malformed()),
        }
    }
    Ok(object)
}

/// Adds to the list of that name.
fn add(object: &mut Map<String, Value>, name: &str, item: Value) {
    let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(items) = list {
        items.push(item);
    }
}

/// Key and value of an entry of a map.
fn entry(bytes: &[u8]) -> Result<(String, &[u8]), ApiError> {
    let mut key = String::new();
    let mut value: &[u8] = &[];
    let mut wire = Wire(bytes);
    while let Some(field) = wire.next()? {
        match field {
            (1, Part::Bytes(bytes)) => key = text(bytes)?,
            (2, Part::Bytes(bytes)) => value = bytes,
            _ => return Err(malformed()),
        }
    }
    Ok((key, value))
}

/// An `IntOrString`: which of the two, the number, the text.
fn int_or_text(bytes: &[u8]) -> Result<Value, ApiError> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    let mut wire = Wire(bytes);
    while let Some(field) = wire.next()? {
        match field {
            (1, Part::Number(which)) => is_text = which == 1,
            (2, Part::Number(value)) => number = signed(value),
            (3, Part::Bytes(bytes)) => text = self::text(bytes)?,
            _ => return Err(malformed()),
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

fn text(bytes: &[u8]) -> Result<String, ApiError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed())
}

/// A number as `int32` and `int64` have it: two's complement.
fn signed(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

/// The value of a field.
#[derive(Clone, Copy)]
enum Part<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl Part<'_> {
    /// Whether it says something: fields that are unset are sent empty.
    fn is_set(self) -> bool {
        match self {
            Part::Number(number) => number != 0,
            Part::Bytes(bytes) => !bytes.is_empty(),
        }
    }
}

/// What is left to read of a message.
struct Wire<'b>(&'b [u8]);

impl<'b> Wire<'b> {
    /// The next field's number and value; none at the end.
    fn next(&mut self) -> Result<Option<(u64, Part<'b>)>, ApiError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let part = match tag & 7 {
            0 => Part::Number(self.number()?),
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| malformed())?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
                self.0 = rest;
                Part::Bytes(bytes)
            }
            _ => return Err(malformed()),
        };
        Ok(Some((tag >> 3, part)))
    }

    fn number(&mut self) -> Result<u64, ApiError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or_else(malformed)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(malformed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).expect("short");
        assert!(length < 0x80);
        [&[(number << 3) | 2, length][..], value].concat()
    }

    fn body(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        let rest = [bytes(3, b""), bytes(4, b"")].concat();
        [MAGIC, &bytes(1, &types), &bytes(2, object), &rest].concat()
    }

    /// Name, and what kubectl sends of fields that are not set.
    fn metadata(name: &str) -> Vec<u8> {
        let meta = [bytes(1, name.as_bytes()), bytes(2, b""), vec![7 << 3, 0], bytes(8, b"")].concat();
        bytes(1, &meta)
    }

    #[test]
    fn a_secret_as_kubectl_sends_it() {
        let entry = [bytes(1, b"a"), bytes(2, b"\xff")].concat();
        let secret = [metadata("x"), bytes(2, &entry), bytes(3, b"")].concat();
        let read = object(&body("v1", "Secret", &secret)).expect("read");
        let want =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "x" }, "data": { "a": "/w==" } });
        assert_eq!(read, want);
    }

    #[test]
    fn a_deployment_as_kubectl_sends_it() {
        let port = [bytes(1, b""), vec![2 << 3, 0, 3 << 3, 80]].concat();
        let container = [
            bytes(1, b"c"),
            bytes(3, b"sh"),
            bytes(3, b""),
            bytes(6, &port),
            vec![0x80, 1, 0],
        ]
        .concat();
        let template = bytes(2, &bytes(2, &container));
        let spec = [
            vec![1 << 3, 0],
            bytes(3, &template),
            bytes(4, &bytes(1, b"")),
            vec![7 << 3, 0],
        ]
        .concat();
        let deployment = [metadata("d"), bytes(2, &spec), bytes(3, &[1 << 3, 0])].concat();
        let read = object(&body("apps/v1", "Deployment", &deployment)).expect("read");
        let container = json!({ "name": "c", "command": ["sh", ""], "ports": [{ "containerPort": 80 }] });
        let want = json!({ "replicas": 0, "template": { "spec": { "containers": [container] } }, "strategy": {} });
        assert_eq!(read["spec"], want);
    }

    #[test]
    fn what_is_not_read_is_refused() {
        let job = object(&body("batch/v1", "Job", &[])).expect_err("no such kind");
        assert_eq!(job.code, 415);
        assert!(
            job.message.contains("a Job") && job.message.contains("kubectl apply -f"),
            "{job}"
        );
        let immutable = [metadata("x"), vec![5 << 3, 1]].concat();
        let secret = object(&body("v1", "Secret", &immutable)).expect_err("a field that isn't read");
        assert!(secret.message.contains("field 5 of Secret"), "{secret}");
        assert_eq!(object(b"{}").expect_err("JSON").code, 400);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = object(&[MAGIC, &bytes].concat());
            for fields in [SECRET, SERVICE, DEPLOYMENT] {
                let _ = message(fields, &bytes, "x");
            }
        }
    }
}
