use super::*;

#[test]
fn templates_get_seconds_and_patterns() {
    let mut policies = Policies::reference();
    policies.declare("rotation.interval", "500ms");
    let shown = policies.in_templates();
    assert_eq!(shown["rotation"]["interval"], 0.5);
    assert_eq!(shown["park"]["usage-cap"], 10_800.0);
    assert_eq!(shown["log"]["active"], "active account-([0-9]+)");
    assert_eq!(shown["jwt"]["leeway"], 30.0);
    policies.declare("jwt.leeway", "none");
    assert_eq!(policies.in_templates()["jwt"]["leeway"], 0.0);
    // What checks choose by.
    assert_eq!(shown["auth-file"], Value::Null);
    assert_eq!(Policies::none().in_templates(), json!({}));
}

#[test]
fn the_leeway_is_any_time_or_none() {
    let refused = |text| policy("jwt.leeway").and_then(|policy| policy.refuse(text));
    for right in ["none", "0s", "30s", "2m"] {
        assert_eq!(refused(right), None, "{right}");
    }
    let why = refused("soon").expect("refused");
    assert!(why.starts_with("`jwt.leeway` is `none`, or a number"), "{why}");
}

#[test]
fn a_pattern_has_one_group() {
    let refused = |text| policy("log.active").and_then(|policy| policy.refuse(text));
    assert_eq!(refused("in use: ([0-9])"), None);
    for wrong in ["in use: [0-9]", "(a)(b)", "("] {
        assert!(refused(wrong).is_some(), "{wrong}");
    }
}

#[test]
fn the_reference_declares_what_its_policies_can_be() {
    let reference = Policies::reference();
    for policy in POLICIES {
        let choice = reference.choice(policy.name).expect("declared");
        assert_eq!(policy.refuse(choice), None);
    }
}
