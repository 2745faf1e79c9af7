//! The HTML reports as they are heard, read without colour, and printed.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Element;
use super::*;

/// The HTML pages of all records, of one without a scenario, and the overview, with a name each.
fn pages() -> Vec<(String, Element)> {
    let empty = RunRecord::new("empty", "Empty", Timestamp::EPOCH);
    let empty = report_files(&empty)
        .into_iter()
        .map(|(name, text)| (format!("empty/{name}"), text));
    outputs()
        .into_iter()
        .chain(empty)
        .filter(|(name, _)| name.ends_with(".html"))
        .map(|(name, text)| {
            let page = Element::page(&text);
            (name, page)
        })
        .collect()
}

fn ids(page: &Element) -> BTreeMap<&str, &Element> {
    let all = page.all().into_iter();
    all.filter_map(|own| Some((own.get("id")?, own))).collect()
}

/// The texts of the elements that an attribute names by their ids.
fn referred(page: &Element, of: &Element, attribute: &str) -> String {
    let ids = ids(page);
    let texts = of
        .get(attribute)
        .into_iter()
        .flat_map(str::split_whitespace);
    texts
        .map(|id| ids[id].heard())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_page_has_a_language_a_title_and_headings_in_order() {
    for (name, page) in pages() {
        let html = page.named(&["html"]);
        assert_eq!(html[0].get("lang"), Some("en"), "{name}");
        assert!(!page.named(&["title"])[0].heard().is_empty(), "{name}");
        let mut before = 0;
        for heading in page.named(&["h1", "h2", "h3", "h4", "h5", "h6"]) {
            let level: u32 = heading.name[1..].parse().expect("a level");
            let words = heading.heard();
            assert!(!words.is_empty(), "{name} has an empty {}", heading.name);
            assert!(level <= before + 1, "{name}: h{before}, then {words}");
            assert_eq!(level == 1, before == 0, "{name} has one h1, at its top");
            before = level;
        }
        assert_ne!(before, 0, "{name}");
    }
}

#[test]
fn landmarks_are_few_and_have_names_of_their_own() {
    for (name, page) in pages() {
        assert_eq!(page.named(&["main"]).len(), 1, "{name}");
        let mut seen = BTreeSet::new();
        for landmark in page.named(&["nav", "section"]) {
            let label = landmark.get("aria-label").map(str::to_owned);
            let label = label.unwrap_or_else(|| referred(&page, landmark, "aria-labelledby"));
            // A section without a name is none.
            if landmark.name == "section" && label.is_empty() {
                continue;
            }
            assert!(!label.is_empty(), "{name}");
            assert!(seen.insert(label.clone()), "{name}: {label} twice");
        }
        assert!(
            page.all()
                .iter()
                .all(|own| own.get("role") != Some("region")),
            "{name}: what scrolls is no landmark"
        );
        let links = page.named(&["a"]);
        let target = links[0].get("href").and_then(|href| href.strip_prefix('#'));
        let target = ids(&page)[target.expect("the first link skips to the report")];
        assert_eq!(target.name, "main", "{name}");
    }
}

#[test]
fn what_the_keyboard_reaches_has_a_role_and_a_name() {
    for (name, page) in pages() {
        for stop in page.all() {
            if let Some(index) = stop.get("tabindex") {
                assert_eq!(
                    (index, stop.get("role")),
                    ("0", Some("group")),
                    "{name}: {stop:?}"
                );
                let label = stop.get("aria-label").unwrap_or_default();
                assert!(!label.trim().is_empty(), "{name}: {stop:?}");
            }
        }
        // What may be wider than a narrow window scrolls, and does so without a mouse; the tables of steps are narrow.
        let wide = |own: &Element| {
            let drawings = own.named(&["svg"]).into_iter();
            let drawings = drawings.filter(|own| own.get("class") == Some("drawing"));
            own.named(&["table"]).len() + drawings.count()
        };
        let count = |chosen: &dyn Fn(&Element) -> bool| -> usize {
            let all = page.all().into_iter().filter(|own| chosen(own));
            all.map(wide).sum()
        };
        let scrolled = count(&|own| own.get("tabindex").is_some());
        let of_steps = count(&|own| own.name == "ol");
        assert_eq!(scrolled + of_steps, wide(&page), "{name}");
    }
}

#[test]
fn drawings_say_what_they_show() {
    let mut drawn = 0;
    for (name, page) in pages() {
        for svg in page.named(&["svg"]) {
            if svg.get("aria-hidden") == Some("true") {
                continue;
            }
            drawn += 1;
            assert_eq!(svg.get("role"), Some("img"), "{name}");
            for attribute in ["aria-labelledby", "aria-describedby"] {
                assert!(!referred(&page, svg, attribute).is_empty(), "{name}");
            }
            let parts: Vec<&str> = svg.children().map(|own| own.name.as_str()).collect();
            assert_eq!(parts, ["title", "desc", "g"], "{name}");
            let shapes = svg.children().last().expect("three parts");
            assert_eq!(shapes.get("aria-hidden"), Some("true"), "{name}");
        }
        // A chart is there as a table as well.
        for figure in page.named(&["figure"]) {
            let chart = figure.named(&["path"]).iter().any(|own| {
                own.get("class")
                    .is_some_and(|class| class.starts_with("series"))
            });
            assert!(
                !chart || figure.named(&["table"]).len() == 1,
                "{name}: {}",
                figure.heard()
            );
            assert!(
                !referred(&page, figure, "aria-labelledby").is_empty(),
                "{name}"
            );
        }
    }
    assert!(drawn > 10, "{drawn}");
}

#[test]
fn tables_have_captions_and_headers() {
    for (name, page) in pages() {
        for table in page.named(&["table"]) {
            let captions = table.named(&["caption"]);
            assert_eq!(captions.len(), 1, "{name}");
            let caption = captions[0].heard();
            assert!(!caption.is_empty(), "{name}");
            let headers = table.named(&["th"]);
            assert!(!headers.is_empty(), "{name}: {caption}");
            for header in headers {
                assert!(
                    matches!(header.get("scope"), Some("col" | "row")),
                    "{name}: {caption}"
                );
                assert!(!header.heard().is_empty(), "{name}: {caption}");
                // It is said again with every cell of its row.
                assert!(
                    header.named(&["ul", "table"]).is_empty(),
                    "{name}: {caption}"
                );
            }
        }
    }
}

#[test]
fn what_a_colour_says_a_word_says_too() {
    for (name, page) in pages() {
        for own in page.all() {
            let classes = own.get("class").unwrap_or_default().split(' ');
            for class in classes {
                let of_state = ["tone-", "outcome-", "status-"]
                    .iter()
                    .any(|prefix| class.starts_with(prefix));
                if of_state || class == "tag" || class == "badge" {
                    assert!(!own.heard().is_empty(), "{name}: {class}");
                }
            }
        }
    }
}

#[test]
fn a_waterfall_can_be_heard() {
    let page = Element::page(&render_html(&sample::latency()));
    let waterfall = page
        .named(&["table"])
        .into_iter()
        .rfind(|own| own.get("class") == Some("waterfall"))
        .expect("a trace");
    let spans: Vec<String> = waterfall
        .named(&["th"])
        .into_iter()
        .filter(|own| own.get("scope") == Some("row"))
        .map(Element::heard)
        .collect();
    assert!(
        spans.len() > 2 && !spans[0].contains("part of"),
        "{spans:?}"
    );
    assert!(
        spans[1..].iter().all(|own| own.contains(", part of ")),
        "{spans:?}"
    );
    let shares = waterfall.named(&["td"]).into_iter();
    let mut shares = shares.filter(|own| own.get("class") == Some("bar"));
    assert!(shares.all(|own| own.heard().contains(" % to ")));
}

/// A crash is shaded in every drawing of time and named, like a fault; several at once each have a strip of their own.
#[test]
fn a_crash_is_shown_as_faults_are() {
    let mut record = sample::latency();
    let scenario = &mut record.scenarios[0];
    let t0 = scenario.faults[0].injected;
    for (secs, state) in [(60, "crashed"), (120, "restarted")] {
        scenario.events.push(gameday_signal::Event {
            at: t0 + std::time::Duration::from_secs(secs),
            seq: scenario.events.len() as u64,
            kind: gameday_signal::EventKind::ServiceChanged {
                service: "payments".to_owned(),
                state: state.to_owned(),
                version: String::new(),
            },
        });
    }
    let page = Element::page(&render_html(&record));
    let said = "A crash of payments in force from +1m00s to +2m00s.";
    let mut of_time = 0;
    for svg in page.named(&["svg"]) {
        let with = |name: &str, class: &str| {
            let all = svg.named(&[name]).into_iter();
            all.filter(|own| own.get("class") == Some(class)).count()
        };
        if svg.get("class") != Some("drawing") || with("line", "axis") == 0 {
            continue;
        }
        of_time += 1;
        assert_eq!(with("rect", "fault-window"), 2);
        assert_eq!(with("rect", "bar-fault"), 2);
        assert!(referred(&page, svg, "aria-describedby").contains(said));
        let mut names = svg.named(&["text"]).into_iter().map(Element::heard);
        // What is drawn is hidden from screen readers as a whole, not piece by piece.
        assert!(names.any(|name| name == "crash of payments"));
    }
    assert_eq!(of_time, 1 + record.scenarios[0].charts.len());
    assert!(page.heard().contains("+2m00s (restarted)"));
    assert!(render_markdown(&record).contains("+2m00s (restarted)"));
}

/// The palettes for light, dark and print; what one does not name is that of the first.
fn palettes(css: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut palettes: Vec<BTreeMap<&str, &str>> = Vec::new();
    for block in css.split(":root {").skip(1) {
        let mut palette = palettes.first().cloned().unwrap_or_default();
        let block = block.split('}').next().unwrap_or_default();
        for line in block.lines() {
            if let Some((name, value)) = line.trim().split_once(": #") {
                palette.insert(name, value.trim_end_matches(';'));
            }
        }
        palettes.push(palette);
    }
    palettes
}

/// The contrast of two colours as WCAG 2.1 defines it.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |colour: &str| {
        let part = |index: usize| {
            let byte = u8::from_str_radix(&colour[index..index + 2], 16).expect("a colour");
            let share = f64::from(byte) / 255.0;
            if share <= 0.03928 {
                share / 12.92
            } else {
                ((share + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn colours_stand_out_in_light_dark_and_print() {
    let palettes = palettes(include_str!("../../../reports/style.css"));
    assert_eq!(palettes.len(), 3);
    let inks = ["text", "soft", "link", "good", "warn", "bad", "fault"];
    let mut texts: Vec<(String, String)> = Vec::new();
    for ground in ["ground", "raised", "warn-ground"] {
        texts.extend(inks.map(|ink| (format!("--{ink}"), format!("--{ground}"))));
    }
    for own in ["good", "warn", "bad"] {
        texts.push((format!("--{own}"), format!("--{own}-ground")));
    }
    texts.push(("--text".to_owned(), "--bad-ground".to_owned()));
    texts.extend((0..6).map(|stage| ("--text".to_owned(), format!("--g{stage}"))));
    let mut lines: Vec<(String, String)> = Vec::new();
    for ground in ["--ground", "--fault-ground"] {
        lines.extend((0..8).map(|series| (format!("--s{series}"), ground.to_owned())));
        lines.extend(
            ["bad", "fault", "warn", "soft"].map(|own| (format!("--{own}"), ground.to_owned())),
        );
    }
    for (index, palette) in palettes.iter().enumerate() {
        // 1.4.3 asks for 4.5 to 1 of text, 1.4.11 for 3 to 1 of drawings.
        for (least, pairs) in [(4.5, &texts), (3.0, &lines)] {
            for (ink, ground) in pairs {
                let seen = contrast(palette[ink.as_str()], palette[ground.as_str()]);
                assert!(
                    seen >= least,
                    "palette {index}: {ink} on {ground} is {seen:.2}"
                );
            }
        }
    }
    assert_eq!(palettes[2]["--ground"], "ffffff", "paper is white");
}

#[test]
fn print_keeps_together_what_belongs_together() {
    let css = include_str!("../../../reports/style.css");
    let (_, print) = css
        .split_once("@media print {")
        .expect("a style for printing");
    let rules: Vec<(&str, &str)> = print
        .lines()
        .filter_map(|line| line.trim().split_once(" {"))
        .collect();
    let has = |selector: &str, declaration: &str| {
        rules.iter().any(|(selectors, declarations)| {
            selectors.split(", ").any(|own| own == selector) && declarations.contains(declaration)
        })
    };
    for heading in ["h1", "h2", "h3", "h4", "caption", "figcaption"] {
        assert!(has(heading, "break-after: avoid"), "{heading}");
    }
    for whole in ["figure", "tr", ".failure", "ol.steps > li"] {
        assert!(has(whole, "break-inside: avoid"), "{whole}");
    }
    for (selector, declaration) in [
        ("thead", "display: table-header-group"),
        ("thead", "break-after: avoid"),
        ("thead + tbody > tr:first-child", "break-before: avoid"),
        ("nav.toc", "display: none"),
        (".scroll", "overflow: visible"),
        ("svg.drawing", "max-height"),
        ("svg", "print-color-adjust: exact"),
        ("html", "font-size"),
    ] {
        assert!(has(selector, declaration), "{selector}: {declaration}");
    }
    assert!(print.contains("counter(pages)"));
    // Nothing but the values of a chart is folded away, for paper does not unfold.
    for (name, page) in pages() {
        for details in page.named(&["details"]) {
            let words = details.named(&["summary"])[0].heard();
            assert!(words.ends_with(" as a table"), "{name}: {words}");
        }
    }
}

#[test]
fn a_page_asks_for_nothing() {
    for (name, page) in pages() {
        for own in page.all() {
            let loads = matches!(
                own.name.as_str(),
                "script" | "link" | "img" | "iframe" | "object"
            );
            assert!(!loads && own.get("src").is_none(), "{name}: {own:?}");
        }
        let style = page.named(&["style"])[0].heard();
        for word in ["url(", "@import"] {
            assert!(!style.contains(word), "{name}: {word}");
        }
    }
}
