//! The plot: for each run a line from the median to the longest latency, on a logarithmic scale, with
//! a mark at the 99th percentile; blocks above, attestations below.

use std::fmt::Write as _;

use signer_client::load::Kind;

use super::report::{Experiment, Run};

const WIDTH: f64 = 960.0;
/// Where the scale begins and ends.
const LEFT: f64 = 350.0;
const RIGHT: f64 = 840.0;
const ROW_HEIGHT: f64 = 24.0;
/// Room for the title and the scale of a panel.
const PANEL_HEAD: f64 = 64.0;
/// Latencies at the ends of the scale, as powers of ten of a millisecond.
const FIRST_POWER: i32 = -1;
const LAST_POWER: i32 = 5;

/// The plot as SVG.
pub(super) fn draw(experiment: &Experiment) -> String {
    let panel_height = PANEL_HEAD + ROW_HEIGHT * experiment.runs.len() as f64;
    let height = 2.0 * panel_height + 44.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    panel(&mut svg, 0.0, "Blocks", Kind::Block, &experiment.runs);
    panel(&mut svg, panel_height, "Attestations", Kind::Attestation, &experiment.runs);
    let legend =
        "dot: median, bar: 99th percentile, end of the line: longest; red: with missed deadlines";
    text(&mut svg, 16.0, 2.0 * panel_height + 24.0, "start", "#555", legend);
    svg + "</svg>\n"
}

fn panel(svg: &mut String, top: f64, title: &str, kind: Kind, runs: &[Run]) {
    text(svg, 16.0, top + 28.0, "start", "#000", &format!("{title}: latency"));
    let bottom = top + PANEL_HEAD + ROW_HEIGHT * runs.len() as f64;
    for power in FIRST_POWER..=LAST_POWER {
        let x = position(10_f64.powi(power));
        let top = top + PANEL_HEAD - 10.0;
        line(svg, (x, top), (x, bottom), "#ddd", 1.0);
        text(svg, x, top - 8.0, "middle", "#555", &scale_label(power));
    }
    for (number, run) in runs.iter().enumerate() {
        let y = top + PANEL_HEAD + ROW_HEIGHT * (number as f64 + 0.5);
        let label = format!("{}, {}", run.validators, run.variant.title());
        text(svg, LEFT - 12.0, y + 4.0, "end", "#000", &label);
        let Some(row) = run.total(kind) else { continue };
        let color = if row.missed > 0 { "#c62828" } else { "#1565c0" };
        let (Some(p50), Some(p99), Some(max)) = (row.p50_ms, row.p99_ms, row.max_ms) else {
            text(svg, LEFT + 6.0, y + 4.0, "start", color, "no signature");
            continue;
        };
        let [p50, p99, end] = [p50, p99, max].map(position);
        line(svg, (p50, y), (end, y), color, 2.0);
        line(svg, (p99, y - 6.0), (p99, y + 6.0), color, 3.0);
        // Writing to a text can't fail.
        let _ = writeln!(svg, "<circle cx=\"{p50:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>");
        let mut note = format!("{max:.1} ms");
        if row.missed > 0 {
            let _ = write!(note, ", {} missed", row.missed);
        }
        text(svg, end + 8.0, y + 4.0, "start", color, &note);
    }
}

/// Where a latency in milliseconds stands on the scale.
fn position(millis: f64) -> f64 {
    let (first, last) = (f64::from(FIRST_POWER), f64::from(LAST_POWER));
    let share = (millis.max(f64::MIN_POSITIVE).log10() - first) / (last - first);
    LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
}

fn scale_label(power: i32) -> String {
    if power >= 3 {
        format!("{} s", 10_u32.pow(power.unsigned_abs() - 3))
    } else {
        format!("{} ms", 10_f64.powi(power))
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, color: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{color}\">{words}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_logarithmic_and_has_ends() {
        assert!((position(0.1) - LEFT).abs() < 1e-6);
        assert!((position(100_000.0) - RIGHT).abs() < 1e-6);
        let step = position(10.0) - position(1.0);
        assert!((position(1000.0) - position(100.0) - step).abs() < 1e-6);
        assert!((position(0.0) - LEFT).abs() < 1e-6);
        assert!((position(1e9) - RIGHT).abs() < 1e-6);
        assert_eq!([-1, 0, 3, 5].map(scale_label), ["0.1 ms", "1 ms", "1 s", "100 s"]);
    }
}
