//! Extracts a request's token: `Authorization: Bearer`, or `access-token` (`AGENTS_PARAMETER`) in the query.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use percent_encoding::percent_decode_str;

use super::super::token::bearer;
use super::super::{Pod, mutant};

/// The parameter of the query, where it has no other name.
const PARAMETER: &str = "access-token";

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Header,
    Query,
}

/// What a request has.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    Nothing,
    One(Place, Cow<'a, [u8]>),
    /// Of which nobody could say which one counts (policy `token.two-places: reject`; RFC 6750 §2).
    Several,
}

impl<'a> Presented<'a> {
    /// As a pod sees it.
    pub fn to(pod: &Pod, headers: &'a HeaderMap, query: Option<&'a str>) -> Presented<'a> {
        match Presented::of(pod, headers, query) {
            Presented::Several if pod.has(&mutant::FIRST_OF_TWO) => {
                let first = headers
                    .get(AUTHORIZATION)
                    .map(|value| bearer(value.as_bytes()).unwrap_or_default());
                let first = first.map(|token| Presented::One(Place::Header, Cow::Borrowed(token)));
                first.unwrap_or(Presented::Several)
            }
            Presented::Nothing if pod.has(&mutant::COOKIE_IS_A_TOKEN) => match in_cookie(headers) {
                Some(token) => Presented::One(Place::Header, Cow::Borrowed(token)),
                None => Presented::Nothing,
            },
            Presented::One(place, token) if token.is_empty() && pod.has(&mutant::EMPTY_TOKEN_FALLS_BACK) => {
                let other = headers.get("x-access-token").map(|value| value.as_bytes());
                Presented::One(place, other.map_or(token, Cow::Borrowed))
            }
            presented => presented,
        }
    }

    /// Without the defects that mutants have.
    pub fn of(pod: &Pod, headers: &'a HeaderMap, query: Option<&'a str>) -> Presented<'a> {
        let parameter = pod.var_or("AGENTS_PARAMETER", PARAMETER);
        let in_headers = headers
            .get_all(AUTHORIZATION)
            .iter()
            // Another scheme is no token, and still something that was shown.
            .map(|value| {
                (
                    Place::Header,
                    Cow::Borrowed(bearer(value.as_bytes()).unwrap_or_default()),
                )
            });
        let in_query = query
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| *name == parameter)
            .map(|(_, value)| (Place::Query, Cow::from(percent_decode_str(value))));
        let mut all = in_headers.chain(in_query);
        match (all.next(), all.next()) {
            (None, _) => Presented::Nothing,
            (Some((place, only)), None) => Presented::One(place, only),
            (Some(_), Some(_)) => Presented::Several,
        }
    }
}

/// For the mutant `cookie-is-a-token`: the value of the cookie that has the parameter's name.
fn in_cookie(headers: &HeaderMap) -> Option<&[u8]> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == PARAMETER)
        .map(|(_, token)| token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::pod::tests::pod;
    use http::HeaderValue;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn one_place_only() {
        let one = |place, token: &'static str| Presented::One(place, Cow::Borrowed(token.as_bytes()));
        let cases: [(&[&str], Option<&str>, Presented); 9] = [
            (&[], None, Presented::Nothing),
            (&[], Some("token=a&Access-Token=b"), Presented::Nothing),
            (&["Bearer a"], None, one(Place::Header, "a")),
            (&["bearer  a "], Some("x=1"), one(Place::Header, "a")),
            (&["Basic a"], None, one(Place::Header, "")),
            (&[], Some("x=1&access-token=a%2eb"), one(Place::Query, "a.b")),
            (&["Bearer a"], Some("access-token=a"), Presented::Several),
            (&["Bearer a", "Bearer b"], None, Presented::Several),
            (&[], Some("access-token=a&access-token=b"), Presented::Several),
        ];
        let usual = pod(&[]);
        for (given, query, expected) in cases {
            assert_eq!(
                Presented::of(&usual, &headers(given), query),
                expected,
                "{given:?} {query:?}"
            );
        }
        let renamed = pod(&[("AGENTS_PARAMETER", "jwt")]);
        for (query, expected) in [
            ("jwt=a", one(Place::Query, "a")),
            ("access-token=a", Presented::Nothing),
        ] {
            assert_eq!(Presented::of(&renamed, &headers(&[]), Some(query)), expected, "{query}");
        }
    }

    #[test]
    fn mutants_look_in_other_places() {
        let other = |name: &'static str, value: &'static str| {
            let mut headers = headers(&[]);
            headers.insert(name, HeaderValue::from_static(value));
            headers
        };
        let cookie = other("cookie", "a=b; access-token=x");
        let mut beside = other("x-access-token", "x");
        beside.insert(AUTHORIZATION, HeaderValue::from_static("Bearer "));
        let right = pod(&[]);
        for (mutants, headers) in [("cookie-is-a-token", &cookie), ("empty-token-falls-back", &beside)] {
            let wrong = pod(&[("GAUNTLET_MUTANTS", mutants)]);
            let found = Presented::One(Place::Header, Cow::Borrowed(&b"x"[..]));
            assert_eq!(Presented::to(&wrong, headers, None), found, "{mutants}");
            assert_ne!(Presented::to(&right, headers, None), found, "without {mutants}");
        }
    }
}
