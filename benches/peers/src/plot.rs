//! Bars, one panel to a comparison.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tower_bearer::Algorithm;

use crate::measure::{Cost, net};
use crate::report::digits;
use crate::{inbound, outbound};

const WIDTH: u32 = 980;
const ROW: i32 = 24;
const TITLE: i32 = 44;
/// Where bars begin, and how long the longest is.
const LEFT: i32 = 360;
const LONGEST: f64 = 520.0;
const OURS: RGBColor = RGBColor(38, 98, 170);
const THEIRS: RGBColor = RGBColor(160, 168, 178);
const LIMIT: RGBColor = RGBColor(200, 80, 40);

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

struct Panel {
    title: String,
    /// Names, values, and which of them is the limit.
    bars: Vec<(&'static str, f64)>,
    limit: &'static str,
    unit: &'static str,
}

/// A panel for each algorithm.
pub fn inbound(columns: &[(Algorithm, Vec<Cost>)], file: &Path) -> Result {
    let panel = |(algorithm, costs): &(Algorithm, Vec<Cost>)| Panel {
        title: format!("{algorithm}: µs for each request, over the bare service"),
        bars: bars(costs, inbound::RAW, 1000.0),
        limit: inbound::RAW,
        unit: "µs",
    };
    draw(&columns.iter().map(panel).collect::<Vec<_>>(), file)
}

/// One panel.
pub fn outbound(costs: &[Cost], file: &Path) -> Result {
    let title = "Attaching a token at hand: ns for each request, over the bare service".to_owned();
    let bars = bars(costs, outbound::RAW, 1.0);
    draw(&[Panel { title, bars, limit: outbound::RAW, unit: "ns" }], file)
}

fn bars(costs: &[Cost], limit: &str, scale: f64) -> Vec<(&'static str, f64)> {
    let shown = costs.iter().filter(|cost| cost.over.is_some() || cost.name == limit);
    shown.map(|cost| (cost.name, net(cost, costs).0 / scale)).collect()
}

fn draw(panels: &[Panel], file: &Path) -> Result {
    let height = |panel: &Panel| TITLE + ROW * panel.bars.len() as i32 + ROW;
    let total: i32 = panels.iter().map(height).sum();
    let area = SVGBackend::new(file, (WIDTH, total as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut top = 0;
    for panel in panels {
        draw_panel(&area, panel, top)?;
        top += height(panel);
    }
    area.present()?;
    Ok(())
}

fn draw_panel(area: &DrawingArea<SVGBackend, plotters::coord::Shift>, panel: &Panel, top: i32) -> Result {
    let text = |size: u32, horizontal| {
        ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(horizontal, VPos::Center))
    };
    area.draw(&Text::new(panel.title.clone(), (20, top + TITLE / 2), text(16, HPos::Left)))?;
    let longest = panel.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + (value.max(0.0) / longest * LONGEST).round() as i32;
    for (row, (name, value)) in panel.bars.iter().enumerate() {
        let y = top + TITLE + ROW * row as i32;
        let color = match *name {
            name if name == panel.limit => LIMIT,
            name if name.starts_with("tower-bearer") => OURS,
            _ => THEIRS,
        };
        area.draw(&Rectangle::new([(LEFT, y + 4), (x(*value), y + ROW - 4)], color.filled()))?;
        area.draw(&Text::new(*name, (LEFT - 8, y + ROW / 2), text(13, HPos::Right)))?;
        let value = (x(*value) + 6, y + ROW / 2, format!("{} {}", digits(*value), panel.unit));
        area.draw(&Text::new(value.2, (value.0, value.1), text(13, HPos::Left)))?;
    }
    let limit = panel.bars.iter().find(|(name, _)| *name == panel.limit).map_or(0.0, |(_, value)| *value);
    let (top, bottom) = (top + TITLE, top + TITLE + ROW * panel.bars.len() as i32);
    area.draw(&PathElement::new([(x(limit), top), (x(limit), bottom)], LIMIT.stroke_width(1)))?;
    Ok(())
}
