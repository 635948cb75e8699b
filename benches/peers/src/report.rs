//! Tables in Markdown, and where they go.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tower_bearer::Algorithm;

use crate::measure::{Cost, net};
use crate::{inbound, outbound};

/// Replaces what is between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
pub fn put(name: &str, file: &Path, text: &str) {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let old = fs::read_to_string(file).expect("a file with markers");
    let (head, rest) = old.split_once(&begin).expect("a marker where it begins");
    let (_, tail) = rest.split_once(&end).expect("a marker where it ends");
    let text = text.trim_end();
    fs::write(file, format!("{head}{begin}\n{text}\n\n{end}{tail}")).expect("a file to write to");
}

/// One row to a contestant, one column to an algorithm.
pub fn inbound(columns: &[(Algorithm, Vec<Cost>)]) -> String {
    let mut table = String::from("| µs for each request, × the signature check |");
    for (algorithm, _) in columns {
        let _ = write!(table, " {algorithm} |");
    }
    table.push_str(" allocations |\n|---|");
    table.push_str(&"---:|".repeat(columns.len() + 1));
    for name in names(columns) {
        let _ = write!(table, "\n| {name} |");
        let mut allocations = Vec::new();
        for (_, costs) in columns {
            let raw = costs.iter().find(|cost| cost.name == inbound::RAW).expect("a raw limit");
            match costs.iter().find(|cost| cost.name == name) {
                Some(cost) => {
                    let (nanos, allocated) = net(cost, costs);
                    allocations.push(allocated);
                    let times = nanos / raw.median();
                    let _ = write!(table, " {} ({}×) |", digits(nanos / 1000.0), digits(times));
                }
                None => table.push_str(" – |"),
            }
        }
        let _ = write!(table, " {} |", range(&allocations));
    }
    let all = columns.iter().flat_map(|(_, costs)| costs);
    let _ = write!(table, "\n\n{}", conditions(all));
    table
}

/// One row to a contestant.
pub fn outbound(costs: &[Cost]) -> String {
    let raw = costs.iter().find(|cost| cost.name == outbound::RAW).expect("a raw limit");
    let (raw, _) = net(raw, costs);
    let mut table =
        String::from("| | ns for each request | × the header alone | allocations |\n|---|---:|---:|---:|");
    for cost in costs.iter().filter(|cost| cost.over.is_some()) {
        let (nanos, allocated) = net(cost, costs);
        let _ = write!(
            table,
            "\n| {} | {nanos:.0} | {}× | {} |",
            cost.name,
            digits(nanos / raw),
            range(&[allocated])
        );
    }
    let _ = write!(table, "\n\n{}", conditions(costs.iter()));
    table
}

/// The names of a table's rows, in the order of their first appearance. Bare services have none.
pub fn names(columns: &[(Algorithm, Vec<Cost>)]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for cost in columns.iter().flat_map(|(_, costs)| costs) {
        let shown = cost.over.is_some() || cost.name == inbound::RAW;
        if shown && !names.contains(&cost.name) {
            names.push(cost.name);
        }
    }
    names
}

fn conditions<'a>(costs: impl Iterator<Item = &'a Cost>) -> String {
    let mut spreads: Vec<_> = costs.map(|cost| (cost.spread(), cost.rounds.len())).collect();
    spreads.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (worst, rounds) = *spreads.last().expect("somebody was measured");
    let (middle, _) = spreads[spreads.len() / 2];
    format!(
        "Medians of {rounds} rounds. The middle half of a contestant's rounds spans {:.0} % of its median \
         (the worst: {:.0} %).\n\n{}",
        middle * 100.0,
        worst * 100.0,
        std::env::var("PEERS_CONDITIONS").unwrap_or_default()
    )
}

/// Three significant digits.
pub fn digits(number: f64) -> String {
    match number.abs() {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        1.0.. => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

fn range(numbers: &[f64]) -> String {
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min).round();
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max).round();
    if low == high { format!("{}", low + 0.0) } else { format!("{low} to {high}") }
}
