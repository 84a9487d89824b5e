//! Plots as SVG, so that a page of text can show them anywhere.

use std::fmt::Write;

use super::Timeline;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
/// Top and height of each panel.
const RATE: (f64, f64) = (34.0, 150.0);
const LAYER: (f64, f64) = (212.0, 54.0);
const QUEUE: (f64, f64) = (292.0, 84.0);
const HEIGHT: f64 = 410.0;
/// The least that the panels show.
const QUEUE_MS_MIN: f64 = 300.0;
const RATE_KBPS_MIN: f64 = 1_000.0;

const CAPACITY: &str = "#9aa0a6";
const ESTIMATE: &str = "#d9730d";
const RECEIVED: &str = "#1f77b4";
const LAYERS: &str = "#2e7d32";
const WAITS: &str = "#8e44ad";

/// A panel's place and scale.
#[derive(Debug, Clone, Copy)]
struct Panel {
    top: f64,
    height: f64,
    most: f64,
    seconds: f64,
}

impl Panel {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds.min(self.seconds) / self.seconds * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - value.min(self.most) / self.most)
    }
}

/// Rate against capacity, the layer shown, and the queue, one above the other.
#[must_use]
pub fn svg(title: &str, timeline: &Timeline) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"16\" font-size=\"13\">{}</text>\n",
        escape(title),
    );
    let seconds = timeline.seconds.max(1.0);
    let panel = |(top, height): (f64, f64), most: f64| Panel {
        top,
        height,
        most,
        seconds,
    };
    let capacity = most(&timeline.capacity).max(RATE_KBPS_MIN);
    let rate = panel(RATE, capacity.max(most(&timeline.received)) * 1.15);
    frame(&mut out, rate, "kb/s", &[0.0, rate.most / 2.0, rate.most]);
    steps(&mut out, rate, CAPACITY, &timeline.capacity);
    line(&mut out, rate, RECEIVED, &timeline.received);
    line(&mut out, rate, ESTIMATE, &timeline.estimate);
    legend(&mut out);
    let layers = panel(LAYER, 2.0);
    frame(&mut out, layers, "layer", &[0.0, 1.0, 2.0]);
    steps(&mut out, layers, LAYERS, &timeline.layers);
    let queue = panel(QUEUE, most(&timeline.queue).max(QUEUE_MS_MIN));
    frame(&mut out, queue, "queue ms", &[0.0, queue.most]);
    line(&mut out, queue, WAITS, &timeline.queue);
    for part in 0..=5_u8 {
        let at = seconds * f64::from(part) / 5.0;
        let (x, y) = (queue.x(at), HEIGHT - 14.0);
        put(
            &mut out,
            &format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{at:.0} s</text>"),
        );
    }
    put(&mut out, "</svg>");
    out
}

fn legend(out: &mut String) {
    let words = [
        (CAPACITY, "capacity"),
        (RECEIVED, "received"),
        (ESTIMATE, "estimate"),
    ];
    for (place, (colour, word)) in (0_u8..).zip(words) {
        let x = WIDTH - RIGHT - 200.0 + f64::from(place) * 68.0;
        put(
            out,
            &format!("<text x=\"{x}\" y=\"28\" fill=\"{colour}\">{word}</text>"),
        );
    }
}

fn frame(out: &mut String, panel: Panel, name: &str, ticks: &[f64]) {
    let Panel { top, height, .. } = panel;
    let width = WIDTH - LEFT - RIGHT;
    put(
        out,
        &format!(
            "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
             fill=\"none\" stroke=\"#ddd\"/>"
        ),
    );
    put(
        out,
        &format!("<text x=\"4\" y=\"{:.1}\">{name}</text>", top - 5.0),
    );
    for tick in ticks {
        let (x, y) = (LEFT - 6.0, panel.y(*tick) + 4.0);
        put(
            out,
            &format!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{tick:.0}</text>"),
        );
    }
}

/// Straight from point to point.
fn line(out: &mut String, panel: Panel, colour: &str, points: &[(f64, f64)]) {
    let points = points.iter().copied();
    path(out, panel, colour, points);
}

/// Each value holds until the next.
fn steps(out: &mut String, panel: Panel, colour: &str, points: &[(f64, f64)]) {
    let ends = points
        .iter()
        .skip(1)
        .map(|(at, _)| *at)
        .chain([panel.seconds]);
    let corners = points.iter().zip(ends);
    let corners = corners.flat_map(|((from, value), to)| [(*from, *value), (to, *value)]);
    path(out, panel, colour, corners);
}

fn path(out: &mut String, panel: Panel, colour: &str, points: impl Iterator<Item = (f64, f64)>) {
    let mut drawn = String::new();
    for (at, value) in points {
        let word = if drawn.is_empty() { 'M' } else { 'L' };
        let (x, y) = (panel.x(at), panel.y(value));
        let _ = write!(drawn, "{word}{x:.1} {y:.1}");
    }
    put(
        out,
        &format!("<path d=\"{drawn}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"/>"),
    );
}

fn most(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn put(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_drawn_with_its_corners() {
        let timeline = Timeline {
            seconds: 10.0,
            capacity: vec![(0.0, 2_000.0), (5.0, 1_000.0)],
            ..Timeline::default()
        };
        let drawn = svg("1 < 2", &timeline);
        // 652 units wide, 150 high for 2,300 kb/s.
        assert!(
            drawn.contains("M56.0 53.6L382.0 53.6L382.0 118.8L708.0 118.8"),
            "{drawn}"
        );
        assert!(drawn.contains(">1 &lt; 2<"));
        assert!(drawn.ends_with("</svg>\n"));
    }
}
