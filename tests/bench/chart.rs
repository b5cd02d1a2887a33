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

impl Chart<'_> {
    fn place(&self, value: f64) -> f64 {
        if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    /// The chart as a document.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let across: Vec<f64> = points().map(|(x, _)| self.place(x)).collect();
        let least = across.iter().copied().fold(f64::INFINITY, f64::min);
        let most = across.iter().copied().fold(f64::NEG_INFINITY, f64::max).max(least + f64::EPSILON);
        let highest = points().map(|(_, y)| y).chain(self.level.map(|(y, _)| y)).fold(0.0, f64::max);
        let step = step(highest);
        let top = (highest / step).ceil() * step;
        let x = |value: f64| LEFT + (self.place(value) - least) / (most - least) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<title>{0}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"26\" font-size=\"16\" font-weight=\"bold\">{0}</text>\n",
            escaped(self.title)
        );
        let mut put = |text: String| {
            svg.push_str(&text);
            svg.push('\n');
        };
        let mut level = 0.0;
        while level <= top + step / 2.0 {
            let at = y(level);
            put(format!(
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>",
                WIDTH - RIGHT
            ));
            put(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{level}</text>", LEFT - 8.0, at + 4.0));
            level += step;
        }
        let mut ticks: Vec<f64> = points().map(|(x, _)| x).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        for tick in ticks {
            put(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
                x(tick),
                HEIGHT - BOTTOM + 20.0
            ));
        }
        let (middle, foot) = (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 14.0);
        put(format!("<text x=\"{middle:.1}\" y=\"{foot:.1}\" text-anchor=\"middle\">{}</text>", escaped(self.across)));
        let half = f64::midpoint(TOP, HEIGHT - BOTTOM);
        put(format!(
            "<text x=\"18\" y=\"{half:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {half:.1})\">{}</text>",
            escaped(self.up)
        ));
        if let Some((value, name)) = self.level {
            let at = y(value);
            put(format!(
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#aa0000\" stroke-width=\"1.5\"/>",
                WIDTH - RIGHT
            ));
            put(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#aa0000\">{}</text>",
                LEFT + 6.0,
                at - 6.0,
                escaped(name)
            ));
        }
        let ends = self.lines.iter().filter_map(|line| line.points.last().map(|(_, value)| y(*value)));
        let labels = apart(&ends.collect::<Vec<_>>());
        for ((line, (colour, dash)), label) in self.lines.iter().zip(STROKES.iter().cycle()).zip(labels) {
            let mut path = String::new();
            for (across, up) in &line.points {
                let _ = write!(path, "{:.1},{:.1} ", x(*across), y(*up));
            }
            put(format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>",
                path.trim_end()
            ));
            for (across, up) in &line.points {
                put(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*across), y(*up)));
            }
            put(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                WIDTH - RIGHT + 10.0,
                label + 4.0,
                escaped(line.name)
            ));
        }
        svg.push_str("</svg>\n");
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
