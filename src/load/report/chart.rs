//! Charts as inline SVG, so that the page needs nothing from elsewhere.

use std::fmt::Write;

/// The picture, in its own units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 240.0;

/// The plot within it: what is left free on each side.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

/// The largest value is so many times the smallest: then a linear scale would flatten the small ones.
const WIDE: f64 = 20.0;

/// The last percentile of a chart: 99.99, as the number of nines.
pub const NINES: f64 = 4.0;

/// What an x is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Seconds since the load began.
    Time,
    /// How many nines a percentile has: 0 is the smallest value, 1 is 90, 2 is 99.
    Nines,
}

/// Its texts are written as they are: none is a stranger's.
pub struct Chart<'a> {
    pub title: &'a str,
    /// What a y is, with its unit.
    pub unit: &'a str,
    pub along: Along,
    pub lines: Vec<Line<'a>>,
    /// Xs between which everything was steady.
    pub steady: Option<(f64, f64)>,
}

pub struct Line<'a> {
    pub name: &'a str,
    /// Xs in ascending order; without a y the line is interrupted.
    pub points: Vec<(f64, Option<f64>)>,
}

/// Classes of the first, the second and further lines: a colour each, and a pattern for those who see no colours.
const CLASSES: [&str; 4] = ["a", "b", "c", "d"];

impl Chart<'_> {
    /// As a part of a page; empty if there is nothing to draw.
    pub fn draw(&self) -> String {
        let Some(scale) = self.scale() else {
            return String::new();
        };
        let mut out = String::new();
        // Writing into memory doesn't fail.
        let _written = self.write(&scale, &mut out);
        out
    }

    fn scale(&self) -> Option<Scale> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let values = || points().filter_map(|(_, y)| *y).filter(|y| y.is_finite());
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let width = match self.along {
            Along::Time => points().map(|(x, _)| *x).fold(0.0, f64::max),
            Along::Nines => NINES,
        };
        (least.is_finite() && width > 0.0).then(|| Scale {
            width,
            y: Ys::of(least, most),
        })
    }

    fn write(&self, scale: &Scale, out: &mut String) -> std::fmt::Result {
        write!(out, "<figure>\n<figcaption><strong>{}</strong>", self.title)?;
        for (line, class) in self.lines.iter().zip(CLASSES) {
            write!(out, " <span class=\"key {class}\">{}</span>", line.name)?;
        }
        writeln!(out, "</figcaption>")?;
        writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}, {}\">",
            self.title, self.unit
        )?;
        if let Some((from, to)) = self.steady {
            let (from, to) = (scale.x(from), scale.x(to));
            writeln!(
                out,
                "<rect class=\"steady\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                (to - from).max(0.0),
                HEIGHT - TOP - BOTTOM
            )?;
        }
        self.axes(scale, out)?;
        for (line, class) in self.lines.iter().zip(CLASSES) {
            writeln!(out, "<path class=\"line {class}\" d=\"{}\"/>", scale.path(&line.points))?;
        }
        writeln!(out, "</svg>\n</figure>")
    }

    fn axes(&self, scale: &Scale, out: &mut String) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for value in scale.y.ticks() {
            let y = scale.y(value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                number(value)
            )?;
        }
        let (ticks, name): (Vec<(f64, String)>, &str) = match self.along {
            Along::Time => {
                let ticks = steps(scale.width, 6).map(|x| (x, number(x))).collect();
                (ticks, "seconds")
            }
            Along::Nines => {
                let names = ["0", "90", "99", "99.9", "99.99"];
                let ticks = (0..=4_i32).map(f64::from).zip(names.map(str::to_owned)).collect();
                (ticks, "percentile")
            }
        };
        for (value, label) in ticks {
            let x = scale.x(value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                bottom + 16.0
            )?;
        }
        writeln!(
            out,
            "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>\
             <text class=\"unit\" x=\"14\" y=\"{:.1}\" transform=\"rotate(-90 14 {:.1})\">{}</text>",
            f64::midpoint(LEFT, right),
            bottom + 32.0,
            f64::midpoint(TOP, bottom),
            f64::midpoint(TOP, bottom),
            self.unit
        )
    }
}

/// From values to places in the picture.
struct Scale {
    /// The largest x; the smallest is 0.
    width: f64,
    y: Ys,
}

/// How ys are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ys {
    /// From 0 to this.
    Linear(f64),
    /// From this power of ten to that one.
    Powers(i32, i32),
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        LEFT + (value / self.width).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = match self.y {
            Ys::Linear(most) => value / most,
            Ys::Powers(from, to) => (value.log10() - f64::from(from)) / f64::from(to - from),
        };
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn path(&self, points: &[(f64, Option<f64>)]) -> String {
        let mut path = String::new();
        let mut drawing = false;
        for (x, y) in points {
            let Some(y) = y.filter(|y| y.is_finite()) else {
                drawing = false;
                continue;
            };
            let (x, y) = (self.x(*x), self.y(y));
            let _written = match drawing {
                true => write!(path, "L{x:.1} {y:.1}"),
                // A point that stands alone is seen by the end of its line.
                false => write!(path, "M{x:.1} {y:.1}h0"),
            };
            drawing = true;
        }
        path
    }
}

impl Ys {
    fn of(least: f64, most: f64) -> Ys {
        if least > 0.0 && most / least >= WIDE {
            let (from, to) = (least.log10().floor() as i32, most.log10().ceil() as i32);
            return Ys::Powers(from, to.max(from + 1));
        }
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(most, 4);
        Ys::Linear((most / step - 1e-9).ceil() * step)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Ys::Linear(most) => steps(most, 4).collect(),
            Ys::Powers(from, to) => (from..=to).map(|power| 10f64.powi(power)).collect(),
        }
    }
}

/// 1, 2 or 5 of a power of ten: about so many of them make up `most`.
fn step(most: f64, number: u32) -> f64 {
    let least = most / f64::from(number);
    let power = 10f64.powi(least.log10().floor() as i32);
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

fn steps(most: f64, number: u32) -> impl Iterator<Item = f64> {
    let step = step(most, number);
    let last = (most / step + 1e-9).floor() as u32;
    (0..=last).map(move |number| f64::from(number) * step)
}

/// Without zeros that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, Option<f64>)]) -> String {
        let chart = Chart {
            title: "terminals",
            unit: "open",
            along: Along::Time,
            lines: vec![Line {
                name: "open",
                points: points.to_vec(),
            }],
            steady: None,
        };
        chart.draw()
    }

    #[test]
    fn ticks_are_round_and_reach_the_top() {
        assert_eq!(Ys::of(0.0, 0.0), Ys::Linear(1.0));
        assert_eq!(Ys::of(0.0, 1000.0), Ys::Linear(1000.0));
        assert_eq!(Ys::of(3.0, 17.0), Ys::Linear(20.0));
        assert_eq!(Ys::Linear(20.0).ticks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(Ys::of(0.5, 900.0), Ys::Powers(-1, 3));
        assert_eq!(Ys::of(1.0, 100.0), Ys::Powers(0, 2));
        assert_eq!(numbers(Ys::Powers(-1, 1).ticks()), ["0.1", "1", "10"]);
        assert_eq!(numbers(steps(3.0, 6)), ["0", "0.5", "1", "1.5", "2", "2.5", "3"]);
    }

    fn numbers(values: impl IntoIterator<Item = f64>) -> Vec<String> {
        values.into_iter().map(number).collect()
    }

    #[test]
    fn a_line_goes_from_edge_to_edge_and_is_broken_where_nothing_was_measured() {
        let drawn = chart(&[(0.0, Some(0.0)), (1.0, Some(10.0)), (2.0, None), (4.0, Some(20.0))]);
        // 0 is at the left and at the bottom, 4 and 20 at the right and at the top.
        assert!(
            drawn.contains("d=\"M58.0 202.0h0L199.5 106.0M624.0 10.0h0\""),
            "{drawn}"
        );
    }

    #[test]
    fn values_far_apart_are_on_a_scale_of_powers() {
        let drawn = chart(&[(1.0, Some(0.1)), (2.0, Some(10.0))]);
        assert!(drawn.contains("d=\"M341.0 202.0h0L624.0 10.0\""), "{drawn}");
        for label in [">0.1</text>", ">1</text>", ">10</text>"] {
            assert!(drawn.contains(label), "{label} in {drawn}");
        }
    }

    #[test]
    fn without_a_value_there_is_no_chart() {
        assert_eq!(chart(&[]), "");
        assert_eq!(chart(&[(1.0, None), (2.0, Some(f64::NAN))]), "");
        assert!(!chart(&[(1.0, Some(0.0))]).contains("NaN"));
    }
}
