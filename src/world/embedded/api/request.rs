//! What a request's path and query ask for.

use percent_encoding::percent_decode_str;

use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;

/// What a path leads to.
#[derive(Debug, PartialEq)]
pub enum Target {
    /// Discovery and the like.
    Other,
    /// Whether the asking user may do something.
    AccessReview,
    /// All that the asking user may do.
    RulesReview,
    Collection {
        kind: Kind,
        namespace: Option<String>,
    },
    Object {
        kind: Kind,
        namespace: String,
        name: String,
        subresource: Option<String>,
    },
}

impl Target {
    /// # Errors
    /// 404 for a resource that isn't served.
    pub fn parse(path: &str) -> Result<Target, ApiError> {
        let segments: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => return Ok(Target::AccessReview),
            ["apis", "authorization.k8s.io", "v1", "selfsubjectrulesreviews"] => return Ok(Target::RulesReview),
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Ok(Target::Other),
        };
        let find = |plural: &str| Kind::find(group, version, plural).ok_or_else(ApiError::no_such_path);
        let object = |kind, namespace: &str, name: &str, subresource: Option<&str>| Target::Object {
            kind,
            namespace: namespace.to_string(),
            name: name.to_string(),
            subresource: subresource.map(str::to_string),
        };
        let namespaced = |kind: Kind| {
            if kind.facts().namespaced {
                Ok(kind)
            } else {
                Err(ApiError::no_such_path())
            }
        };
        match rest {
            ["namespaces", name] => Ok(object(find("namespaces")?, "", name, None)),
            ["namespaces", name, "status"] => Ok(object(find("namespaces")?, "", name, Some("status"))),
            ["namespaces", namespace, plural] => Ok(Target::Collection {
                kind: namespaced(find(plural)?)?,
                namespace: Some(namespace.to_string()),
            }),
            ["namespaces", namespace, plural, name] => Ok(object(namespaced(find(plural)?)?, namespace, name, None)),
            ["namespaces", namespace, plural, name, subresource] => {
                Ok(object(namespaced(find(plural)?)?, namespace, name, Some(subresource)))
            }
            [plural] => Ok(Target::Collection {
                kind: find(plural)?,
                namespace: None,
            }),
            _ => Err(ApiError::no_such_path()),
        }
    }
}

/// The query's parameters, in order.
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: Option<&str>) -> Query {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    /// The parameter's first value; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let first = self.0.iter().find(|(of, _)| of == name);
        first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(of, _)| of == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    /// # Errors
    /// 400 if it isn't a number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| ApiError::bad_request(format!("invalid value for {name}: \"{value}\"")))
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_objects_and_collections() {
        let object = |kind, namespace: &str, name: &str, sub: Option<&str>| Target::Object {
            kind,
            namespace: namespace.into(),
            name: name.into(),
            subresource: sub.map(Into::into),
        };
        for (path, target) in [
            ("/api/v1/namespaces/a", object(Kind::Namespace, "", "a", None)),
            (
                "/api/v1/namespaces/a/pods/b/log",
                object(Kind::Pod, "a", "b", Some("log")),
            ),
            (
                "/apis/apps/v1/namespaces/a/deployments/b",
                object(Kind::Deployment, "a", "b", None),
            ),
            (
                "/apis/apps/v1/deployments",
                Target::Collection {
                    kind: Kind::Deployment,
                    namespace: None,
                },
            ),
            (
                "/api/v1/namespaces",
                Target::Collection {
                    kind: Kind::Namespace,
                    namespace: None,
                },
            ),
            (
                "/api/v1/namespaces/a/pods",
                Target::Collection {
                    kind: Kind::Pod,
                    namespace: Some("a".into()),
                },
            ),
            ("/apis/apps/v1", Target::Other),
        ] {
            assert_eq!(Target::parse(path).unwrap(), target, "{path}");
        }
        assert_eq!(Target::parse("/api/v1/unicorns").unwrap_err().code, 404);
        assert_eq!(Target::parse("/apis/apps/v1beta1/deployments").unwrap_err().code, 404);
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse(Some("a=1&b=x%2Cy+z&command=sh&command=-c&empty="));
        assert_eq!(query.get("b"), Some("x,y z"));
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["sh", "-c"]);
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.number("a").unwrap(), Some(1));
        assert!(query.number("b").is_err());
    }
}
