//! Line plots as inline SVG, without a script.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;
/// Lines of the grid, each way.
const STEPS: u32 = 4;
/// Points of one line; more cannot be told apart.
const POINTS_MAX: usize = 720;

/// One line.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot of lines over one axis. Empty text where there is nothing to show.
pub(super) fn lines(title: &str, unit_x: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    if points().next().is_none() {
        return String::new();
    }
    let least_x = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most_x = points().map(|point| point.0).fold(least_x + 1e-9, f64::max);
    let most_y = ceiling(points().map(|point| point.1).fold(1e-9, f64::max));
    let x = |value: f64| LEFT + (value - least_x) / (most_x - least_x) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<figure><figcaption>{title}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    for step in 0..=STEPS {
        let share = f64::from(step) / f64::from(STEPS);
        let (at_x, at_y) = (least_x + share * (most_x - least_x), share * most_y);
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let row = y(at_y);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{left} {row:.1}H{right}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}{unit_x}</text>",
            left - 6.0,
            row + 4.0,
            number(at_y),
            x(at_x),
            HEIGHT - 10.0,
            number(at_x)
        );
    }
    for (place, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.points.is_empty())
    {
        let every = line.points.len().div_ceil(POINTS_MAX);
        let kept = line.points.iter().step_by(every).chain(line.points.last());
        let mut path = String::new();
        for (count, (at_x, at_y)) in kept.enumerate() {
            let letter = if count == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", x(*at_x), y(*at_y));
        }
        let _ = write!(svg, "<path class=\"line c{place}\" d=\"{path}\"/>");
    }
    svg.push_str("</svg><p>");
    for (place, line) in lines.iter().enumerate() {
        let _ = write!(svg, "<span class=\"c{place}\">{}</span> ", line.name);
    }
    svg.push_str("</p></figure>");
    svg
}

/// The next of 1, 2, 5, 10, … above.
fn ceiling(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.1}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 10.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 0.1 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_holds_its_points_within_its_frame() {
        let points = vec![(0.0, 0.0), (10.0, 90.0)];
        let svg = lines("t", " s", &[Line { name: "n", points }]);
        assert!(svg.contains("M70.0 190.0L708.0 29.8"), "{svg}");
        assert_eq!(lines("t", "", &[]), "");
        assert_eq!([0.7, 90.0, 1_000.0].map(ceiling), [1.0, 100.0, 1_000.0]);
        assert_eq!(
            [0.0, 0.25, 15_000.0, 2e6].map(number),
            ["0", "0.2", "15k", "2.0M"]
        );
    }
}
