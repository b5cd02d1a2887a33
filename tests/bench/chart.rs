//! Line charts as SVG, written by hand: nothing to install, and readable as text.

use std::fmt::Write as _;

use crate::results::Line;

/// What a chart says.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) across: &'a str,
    pub(crate) up: &'a str,
    /// Whether what is across is spaced by its logarithm.
    pub(crate) logarithmic: bool,
    /// A level that is drawn across, and what it is.
    pub(crate) level: Option<(f64, &'a str)>,
    pub(crate) lines: &'a [Line],
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;

/// Colours that are told apart by those who see few of them (Okabe and Ito), and a dash for those who see none.
const STROKES: [(&str, &str); 4] = [("#0072b2", ""), ("#d55e00", "7 3"), ("#009e73", "2 3"), ("#555555", "10 3 2 3")];

/// Where values lie in the picture.
struct Scale {
    logarithmic: bool,
    least: f64,
    most: f64,
    /// The highest level, and the distance of levels.
    top: f64,
    step: f64,
}

impl Scale {
    fn of(chart: &Chart<'_>) -> Self {
        let points = || chart.lines.iter().flat_map(|line| line.points.iter().copied());
        let mut scale = Self { logarithmic: chart.logarithmic, least: 0.0, most: 1.0, top: 1.0, step: 1.0 };
        let across: Vec<f64> = points().map(|(x, _)| scale.spaced(x)).collect();
        scale.least = across.iter().copied().fold(f64::INFINITY, f64::min);
        scale.most = across.iter().copied().fold(f64::NEG_INFINITY, f64::max).max(scale.least + f64::EPSILON);
        let highest = points().map(|(_, y)| y).chain(chart.level.map(|(y, _)| y)).fold(0.0, f64::max);
        scale.step = step(highest);
        scale.top = (highest / scale.step).ceil() * scale.step;
        scale
    }

    fn spaced(&self, value: f64) -> f64 {
        if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (self.spaced(value) - self.least) / (self.most - self.least) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }
}

/// A text at a place.
fn text(x: f64, y: f64, more: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\"{more}>{}</text>\n", escaped(text))
}

/// A line across the picture.
fn across(y: f64, stroke: &str) -> String {
    format!("<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{stroke}\"/>\n", WIDTH - RIGHT)
}

impl Chart<'_> {
    /// The chart as a document.
    pub(crate) fn svg(&self) -> String {
        let scale = Scale::of(self);
        let title = escaped(self.title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        svg += &text(LEFT, 26.0, " font-size=\"16\" font-weight=\"bold\"", self.title);
        svg += &self.axes(&scale);
        if let Some((value, name)) = self.level {
            svg += &across(scale.y(value), "#aa0000");
            svg += &text(LEFT + 6.0, scale.y(value) - 6.0, " fill=\"#aa0000\"", name);
        }
        svg += &self.drawn(&scale);
        svg + "</svg>\n"
    }

    /// Levels, ticks and what they mean.
    fn axes(&self, scale: &Scale) -> String {
        let mut svg = String::new();
        let mut level = 0.0;
        while level <= scale.top + scale.step / 2.0 {
            svg += &across(scale.y(level), "#dddddd");
            svg += &text(LEFT - 8.0, scale.y(level) + 4.0, " text-anchor=\"end\"", &level.to_string());
            level += scale.step;
        }
        let mut ticks: Vec<f64> = self.lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x)).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        for tick in ticks {
            svg += &text(scale.x(tick), HEIGHT - BOTTOM + 20.0, " text-anchor=\"middle\"", &tick.to_string());
        }
        svg += &text(f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 14.0, " text-anchor=\"middle\"", self.across);
        let half = f64::midpoint(TOP, HEIGHT - BOTTOM);
        let turned = format!(" text-anchor=\"middle\" transform=\"rotate(-90 18 {half:.1})\"");
        svg + &text(18.0, half, &turned, self.up)
    }

    /// The lines, each with its name at its end.
    fn drawn(&self, scale: &Scale) -> String {
        let ends = self.lines.iter().filter_map(|line| line.points.last().map(|(_, value)| scale.y(*value)));
        let labels = apart(&ends.collect::<Vec<_>>());
        let mut svg = String::new();
        for ((line, (colour, dash)), label) in self.lines.iter().zip(STROKES.iter().cycle()).zip(labels) {
            let places: Vec<(f64, f64)> = line.points.iter().map(|(x, y)| (scale.x(*x), scale.y(*y))).collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let stroke = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"");
            let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" {stroke}/>", path.join(" "));
            for (x, y) in places {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            svg += &text(WIDTH - RIGHT + 10.0, label + 4.0, &format!(" fill=\"{colour}\""), line.name);
        }
        svg
    }
}

/// The distance of the levels: 1, 2 or 5 times a power of ten, so that there are four to nine of them.
fn step(highest: f64) -> f64 {
    let rough = (highest / 8.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough).unwrap_or(power * 10.0)
}

/// Heights moved so far apart that labels do not lie on each other.
fn apart(heights: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|a, b| heights[*a].total_cmp(&heights[*b]));
    let mut moved = heights.to_vec();
    for pair in order.windows(2) {
        moved[pair[1]] = moved[pair[1]].max(moved[pair[0]] + 17.0);
    }
    moved
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_holds_every_point_and_label_within_its_frame() {
        let lines = [
            Line { name: "a < b", points: vec![(1.0, 80.0), (500.0, 90.0)] },
            Line { name: "c", points: vec![(1.0, 79.0), (500.0, 89.0)] },
        ];
        let level = Some((100.0, "the most"));
        let chart = Chart { title: "t", across: "x", up: "y", logarithmic: true, level, lines: &lines };
        let svg = chart.svg();
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("a &lt; b") && svg.contains("the most") && svg.ends_with("</svg>\n"));
        let numbers = |name: &str| -> Vec<f64> {
            svg.split(name).skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect()
        };
        assert!(numbers(" cx=\"").iter().all(|x| (LEFT..=WIDTH - RIGHT).contains(x)), "{svg}");
        assert!(numbers(" cy=\"").iter().all(|y| (TOP - 1.0..=HEIGHT - BOTTOM).contains(y)), "{svg}");
    }

    #[test]
    fn levels_are_round_numbers_and_labels_lie_apart() {
        assert_eq!([100.0, 900.0, 0.7].map(|highest| step(highest).to_string()), ["20", "200", "0.1"]);
        let apart: Vec<String> = apart(&[100.0, 101.0, 20.0]).iter().map(f64::to_string).collect();
        assert_eq!(apart, ["100", "117", "20"]);
    }
}
