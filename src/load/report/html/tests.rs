use super::*;
use crate::load::sample;

#[test]
fn what_a_server_says_is_text() {
    let mut result = sample::failed();
    let hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J";
    result.load.target = hostile.into();
    result.reasons.push(hostile.into());
    result.objectives[0].found = hostile.into();
    result.failures.insert(hostile.into(), 1);
    result.probe_failures.insert(hostile.into(), 1);
    for example in &mut result.examples {
        example.failure = hostile.into();
        example.attach = hostile.into();
        example.said = Some(hostile.into());
        example.local = Some(hostile.into());
    }
    let page = render(&result);
    for live in ["<script", "<img", "\"'", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(live), "{live}: {page}");
    }
    let shown = "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;\\u{202e}";
    assert_eq!(page.matches(shown).count(), 14, "{page}");
}

#[test]
fn the_verdict_is_above_all_and_everything_below() {
    let page = render(&sample::failed());
    let parts = [
        "<h1 class=\"fail\">FAILED</h1>",
        "<p>1000 attaches at 500/s, held 10s, an echo every 1500ms, in 12.5 s: ws://127.0.0.1:4096/tty</p>",
        "<li>the door opened 2 times without the right token</li>",
        "<td class=\"fail\">NOT ENOUGH SAMPLES</td>",
        "<strong>Terminals</strong>",
        "<strong>Attaches and errors</strong>",
        "<strong>Lag of the generator</strong>",
        "<h2>Percentiles</h2>",
        "<tr><td>steady echo</td><td class=\"number\">1000</td>",
        "<tr><td>status 503</td><td class=\"number\">3</td><td class=\"number\">0.3 %</td></tr>",
        "<pre>HTTP/1.1 503 Busy\n\n&lt;/pre&gt;&lt;script&gt;",
        "<tr><th>generator</th><td>lag p99 0.50 ms</td></tr>",
        "<tr><th>seed (--seed)</th><td>7</td></tr>",
        "</html>\n",
    ];
    let mut at = 0;
    for part in parts {
        let found = page[at..].find(part);
        at += found.unwrap_or_else(|| panic!("{part}\nis not in, or not behind the others in\n{page}"));
    }
}

#[test]
fn the_targets_pods_have_a_table() {
    let page = render(&sample::passed().with_target_side(Some(sample::target_side())));
    for part in [
        "<p>those of namespace agents with app in (web, worker)</p>",
        "<tr><th>web-1</th><td>2.5 s of processor, 51.0 MB at most, 3 processes, 1 RESTART</td></tr>",
        "<tr><th></th><td>node &lt;a&gt; did not answer</td></tr>",
    ] {
        assert!(page.contains(part), "{part}\nis not in\n{page}");
    }
}

#[test]
fn the_http_side_stands_apart_with_its_model() {
    let mut side = sample::opened();
    let hostile = "<script>alert(1)</script>";
    side.examples[0].what = hostile.into();
    side.api = Some(hostile.into());
    if let Some(requests) = side.requests.get_mut("models") {
        requests.failures.insert(hostile.into(), 1);
    }
    let page = render(&sample::passed().with_http(side));
    assert!(page.contains("<h2>HTTP side (closed model)</h2>"), "{page}");
    assert!(
        page.contains("<tr><td>models-bad-jwt</td><td class=\"number\">10</td>"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn a_load_that_measured_nothing_has_a_page() {
    let mut result = sample::measured([], []);
    result.seconds.clear();
    let page = render(&result);
    assert!(!page.contains("<svg") && !page.contains("NaN"), "{page}");
}

#[test]
fn a_second_that_is_half_a_one_counts_twice() {
    let mut seconds = sample::passed().seconds;
    seconds.truncate(2);
    seconds[1].at = 1.5;
    assert_eq!(
        rates(&seconds, |second| second.opened),
        [(1.0, Some(300.0)), (1.5, Some(600.0))]
    );
}

#[test]
fn percentiles_end_where_the_samples_do() {
    let result = sample::passed();
    let points = nines(&result.histograms["attach"]).expect("points");
    assert_eq!(points.len(), 61);
    assert_eq!(points[0], (0.0, Some(0.01)));
    assert_eq!(points[20], (1.0, Some(9.007)));
    assert_eq!(nines("none"), None);
}
