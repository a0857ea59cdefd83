//! The pages of reports in a real browser.

mod devtools;

use std::path::Path;

use crate::binary::{MINE, folder, run_in};
use devtools::Browser;

/// Nothing of the page lies beyond the window's right edge.
const FITS: &str = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";

/// The colour of the paper.
const PAPER: &str = "getComputedStyle(document.body).backgroundColor";

/// How many files the page has asked for.
const LOADED: &str = "performance.getEntriesByType('resource').length";

/// What holds of every page, on a wide and on a narrow screen.
async fn is_readable(browser: &mut Browser, page: &Path) {
    for width in [400, 1200] {
        browser.open(page, width).await;
        assert_eq!(browser.value(FITS).await, true, "at {width} pixels");
    }
    for (scheme, paper) in [("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")] {
        browser.prefer(scheme).await;
        assert_eq!(browser.value(PAPER).await, paper, "{scheme}");
    }
    assert_eq!(browser.value(LOADED).await, 0);
}

#[tokio::test]
async fn the_page_of_a_run_filters_searches_and_leads_to_its_failures() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let folder = folder();
    let run = ["run", "--scenarios", MINE, "mine/token/quick", "mine/token/wrong"];
    run_in(folder.path(), &[&run[..], &["--report", "html"]].concat()).exits(1);
    let page = folder.path().join("reports/latest/report.html");
    is_readable(&mut browser, &page).await;

    let shown = "document.getElementById('shown').textContent";
    let verdict = |verdict: &str| format!("document.querySelector('input[value={verdict}]').click(), {shown}");
    let search = |words: &str| {
        format!(
            "document.getElementById('search').value = '{words}', document.getElementById('search')\
             .dispatchEvent(new Event('input', {{ bubbles: true }})), {shown}"
        )
    };
    assert_eq!(browser.value(shown).await, "2 of 2");
    assert_eq!(browser.value(&verdict("PASS")).await, "1 of 2");
    let rows = "Array.from(document.querySelectorAll('tr[data-verdict]')).filter(row => row.checkVisibility())\
                .map(row => row.dataset.verdict).join()";
    assert_eq!(browser.value(rows).await, "FAIL");
    assert_eq!(browser.value(&search("QUICK")).await, "0 of 2");
    let failures =
        "Array.from(document.querySelectorAll('details[data-verdict]')).filter(part => part.checkVisibility()).length";
    assert_eq!(browser.value(failures).await, 0, "it is hidden with its row");
    assert_eq!(browser.value(&verdict("PASS")).await, "1 of 2");
    assert_eq!(browser.value(rows).await, "PASS");
    assert_eq!(browser.value(&search("")).await, "2 of 2");
    assert_eq!(browser.value(rows).await, "FAIL,PASS", "what failed stands above");

    // A link opens the failure that it leads to, and the filter doesn't cover it.
    let followed = "(() => {\
          const link = document.querySelector('td a'), part = document.querySelector(link.hash);\
          part.open = false;\
          const bottom = () => document.getElementById('filter').getBoundingClientRect().bottom;\
          const is_seen = () => part.open && part.getBoundingClientRect().top >= bottom();\
          return new Promise(done => {\
            addEventListener('hashchange', () => setTimeout(() => done(is_seen())));\
            link.click();\
          });\
        })()";
    assert_eq!(browser.value(followed).await, true);
}

#[tokio::test]
async fn the_page_of_a_load_is_readable_and_has_its_charts() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let folder = folder();
    let load = ["load", "-n", "20", "--hold", "1s", "--echo-every", "200ms"];
    run_in(folder.path(), &[&load[..], &["--report", "html"]].concat()).exits(0);
    let page = folder.path().join("load.html");
    is_readable(&mut browser, &page).await;
    browser.open(&page, 400).await;
    let drawn = "Array.from(document.querySelectorAll('path.line'))\
                 .filter(line => line.getBoundingClientRect().width > 0).length > 3";
    assert_eq!(browser.value(drawn).await, true);
    // A name in a narrow table is not cut into letters.
    let lines = "Math.max(...Array.from(document.querySelectorAll('td:first-child'))\
                 .filter(cell => /^[a-z]+$/.test(cell.textContent)).map(cell => cell.getBoundingClientRect().height))";
    let height = browser.value(lines).await.as_f64().expect("a height");
    assert!(height < 40.0, "{height} pixels for a word");
}
