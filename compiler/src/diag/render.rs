//! Problems as text. A `Diag` becomes a miette `Diagnostic`, and our own report handler writes any `Diagnostic` in the
//! form of the language's reference: class, sentence, place, the lines with marks under them, notes, calls, one edit.
//! Shows at most `MAX_SHOWN` errors; never looks at the terminal. Of the source nothing gets through that a terminal obeys.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, ReportHandler, Severity, SourceCode, SourceSpan};

use vsr_artifact::text::{shown, visible};

use super::{Diag, Mark, Problems, Sources, Span};

const MAX_SHOWN: usize = 30;
/// Longer source lines are cut around their first mark.
const MAX_LINE: usize = 140;
/// Of a longer trail of calls the middle is left out.
const MAX_TRAIL: usize = 8;

/// Escape sequences around the parts of a message; empty strings where there are no colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    error: &'static str,
    strong: &'static str,
    faint: &'static str,
    mark: &'static str,
    end: &'static str,
}

impl Palette {
    pub const PLAIN: Palette = Palette {
        error: "",
        strong: "",
        faint: "",
        mark: "",
        end: "",
    };
    pub const COLOURED: Palette = Palette {
        error: "\u{1b}[1;31m",
        strong: "\u{1b}[1m",
        faint: "\u{1b}[34m",
        mark: "\u{1b}[31m",
        end: "\u{1b}[0m",
    };
}

pub(super) fn problems(problems: &Problems, sources: &Sources, palette: Palette) -> String {
    let mut text = String::new();
    for diag in problems.iter().take(MAX_SHOWN) {
        let report = Report::new(diag, sources);
        let handler = Handler { palette };
        text += &format!(
            "{}\n",
            Shown {
                report: &report,
                handler: &handler
            }
        );
    }
    if problems.len() > MAX_SHOWN {
        text += &format!("and {} more errors\n", problems.len() - MAX_SHOWN);
    }
    text
}

/// One error with the text it speaks of: what miette's protocol can carry.
#[derive(Debug)]
struct Report<'s> {
    class: Option<&'static str>,
    message: String,
    source: Option<Lines<'s>>,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
    /// Notes (without labels), marks in other files and calls (with one).
    related: Vec<Report<'s>>,
}

/// A file whose lines can be asked for, by a byte in each.
#[derive(Debug)]
struct Lines<'s> {
    sources: &'s Sources,
    file: u32,
}

impl<'s> Report<'s> {
    fn new(diag: &Diag, sources: &'s Sources) -> Report<'s> {
        let file = diag.primary.as_ref().map(|mark| mark.span.file);
        let mut labels: Vec<_> = diag.primary.iter().map(primary).collect();
        let mut elsewhere = Vec::new();
        for mark in &diag.secondary {
            if Some(mark.span.file) == file {
                labels.push(LabeledSpan::new_with_span(
                    Some(mark.text.clone()),
                    source_span(mark.span),
                ));
            } else {
                elsewhere.push(Report::place(mark, sources, mark.text.clone()));
            }
        }
        let notes = diag.notes.iter().map(|note| Report::remark(note.clone()));
        let related = elsewhere
            .into_iter()
            .chain(notes)
            .chain(trail(&diag.trail, sources))
            .collect();
        Report {
            class: Some(diag.class.name()),
            message: diag.message.clone(),
            source: file.map(|file| Lines { sources, file }),
            labels,
            help: diag.help.clone(),
            related,
        }
    }

    fn remark(message: String) -> Report<'s> {
        Report {
            class: None,
            message,
            source: None,
            labels: Vec::new(),
            help: None,
            related: Vec::new(),
        }
    }

    fn place(mark: &Mark, sources: &'s Sources, message: String) -> Report<'s> {
        Report {
            source: Some(Lines {
                sources,
                file: mark.span.file,
            }),
            labels: vec![primary(mark)],
            ..Report::remark(message)
        }
    }
}

fn trail<'s>(calls: &[Mark], sources: &'s Sources) -> Vec<Report<'s>> {
    let call = |mark: &Mark| Report::place(mark, sources, format!("in {}, called at", mark.text));
    if calls.len() <= MAX_TRAIL {
        return calls.iter().map(call).collect();
    }
    let half = MAX_TRAIL / 2;
    let left_out = Report::remark(format!("({} calls between)", calls.len() - 2 * half));
    let first = calls[..half].iter().map(call);
    first
        .chain([left_out])
        .chain(calls[calls.len() - half..].iter().map(call))
        .collect()
}

fn source_span(span: Span) -> SourceSpan {
    (
        span.start as usize,
        span.end.saturating_sub(span.start) as usize,
    )
        .into()
}

fn primary(mark: &Mark) -> LabeledSpan {
    LabeledSpan::new_primary_with_span(Some(mark.text.clone()), source_span(mark.span))
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.message))
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.class.map(|class| Box::new(class) as _)
    }

    fn severity(&self) -> Option<Severity> {
        Some(if self.class.is_some() {
            Severity::Error
        } else {
            Severity::Advice
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.related.iter().map(|report| report as _)))
    }
}

impl SourceCode for Lines<'_> {
    /// The line in which a span begins, where that is, and which column.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let (line, column) = self.sources.line_column(self.file, span.offset() as u32);
        let text = self.sources.line(self.file, line).as_bytes();
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.sources.name(self.file).to_string(),
            text,
            (span.offset(), 0).into(),
            line - 1,
            column - 1,
            1,
        )))
    }
}

struct Shown<'a> {
    report: &'a Report<'a>,
    handler: &'a Handler,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handler.debug(self.report, f)
    }
}

/// Writes a diagnostic in the form of the language's reference.
struct Handler {
    palette: Palette,
}

impl ReportHandler for Handler {
    fn debug(&self, error: &dyn Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Palette {
            error: red,
            strong,
            end,
            ..
        } = self.palette;
        let code = error
            .code()
            .map_or(String::new(), |code| format!("[{code}]"));
        writeln!(f, "{red}error{code}{end}{strong}: {error}{end}")?;
        let width = self.snippet(error, f)?;
        let pad = " ".repeat(width);
        for related in error.related().into_iter().flatten() {
            let faint = self.palette.faint;
            match place(related) {
                Some(place) if related.to_string().ends_with(" at") => {
                    writeln!(f, "{pad} {faint}={end} {related} {place}")?
                }
                Some(place) => writeln!(f, "{pad} {faint}={end} {place}: {related}")?,
                None => writeln!(f, "{pad} {faint}={end} {related}")?,
            }
        }
        if let Some(help) = error.help() {
            writeln!(f, "{pad} {strong}help{end}: {}", shown(help))?;
        }
        Ok(())
    }
}

/// Where a byte of a diagnostic's source is, line and column from 0 (columns count characters), and the text of its line.
struct Spot {
    name: String,
    line: usize,
    column: usize,
    text: String,
}

fn spot(error: &dyn Diagnostic, offset: usize) -> Option<Spot> {
    let source = error.source_code()?;
    let found = source.read_span(&(offset, 0).into(), 0, 0).ok()?;
    Some(Spot {
        name: found.name().unwrap_or("?").to_string(),
        line: found.line(),
        column: found.column(),
        text: String::from_utf8_lossy(found.data()).into_owned(),
    })
}

/// `file:line:column` of the first label.
fn place(error: &dyn Diagnostic) -> Option<String> {
    let label = error.labels()?.next()?;
    let Spot {
        name, line, column, ..
    } = spot(error, label.offset())?;
    Some(format!("{}:{}:{}", shown(name), line + 1, column + 1))
}

/// One mark on one line, in characters.
struct Underline {
    line: usize,
    start: usize,
    end: usize,
    text: String,
    /// The whole line.
    source: String,
}

impl Handler {
    /// Writes place and marked lines; gives the width of the line numbers.
    fn snippet(
        &self,
        error: &dyn Diagnostic,
        f: &mut fmt::Formatter<'_>,
    ) -> Result<usize, fmt::Error> {
        let Some(place) = place(error) else {
            return Ok(2);
        };
        writeln!(f, "  {}{place}{}", self.palette.faint, self.palette.end)?;
        let labels = error.labels().into_iter().flatten();
        let mut marks: Vec<_> = labels.filter_map(|l| underline(error, &l)).collect();
        marks.sort_by_key(|mark| (mark.line, mark.start, mark.end));
        let last = marks.last().map_or(0, |mark| mark.line);
        let width = (last + 1).to_string().len().max(2);
        self.lines(&marks, width, f).map(|()| width)
    }

    fn lines(&self, marks: &[Underline], width: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Palette { faint, end, .. } = self.palette;
        let mut shown: Option<usize> = None;
        for group in marks.chunk_by(|a, b| a.line == b.line) {
            let line = group[0].line;
            if shown.is_some_and(|shown| shown + 1 < line) {
                writeln!(f, "{faint}{:>width$} :{end}", "")?;
            }
            shown = Some(line);
            let cut = Cut::of(&group[0].source, group[0].start);
            writeln!(f, "{faint}{:>width$} |{end} {}", line + 1, cut.text)?;
            self.marks(group, &cut, width, f)?;
        }
        Ok(())
    }

    /// The row of `^`, with the last mark's words; then the other marks' words, right to left.
    fn marks(
        &self,
        marks: &[Underline],
        cut: &Cut,
        width: usize,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let Palette {
            faint,
            mark: red,
            end,
            ..
        } = self.palette;
        let mut row: Vec<char> = Vec::new();
        for mark in marks {
            let (from, to) = cut.shift(mark);
            row.resize(row.len().max(to), ' ');
            row[from..to].fill('^');
        }
        let row: String = row.into_iter().collect();
        let last = marks.last().map_or("", |mark| mark.text.as_str());
        let space = if last.is_empty() { "" } else { " " };
        writeln!(
            f,
            "{faint}{:>width$} |{end} {red}{row}{end}{space}{last}",
            ""
        )?;
        for mark in marks
            .iter()
            .rev()
            .skip(1)
            .filter(|mark| !mark.text.is_empty())
        {
            let indent = cut.shift(mark).0;
            writeln!(
                f,
                "{faint}{:>width$} |{end} {:indent$}{}",
                "", "", mark.text
            )?;
        }
        Ok(())
    }
}

fn underline(error: &dyn Diagnostic, label: &LabeledSpan) -> Option<Underline> {
    let from = spot(error, label.offset())?;
    let to = spot(error, label.offset() + label.len())?;
    let end = if to.line == from.line {
        to.column
    } else {
        from.text.trim_end().chars().count()
    };
    Some(Underline {
        line: from.line,
        start: from.column,
        end: end.max(from.column + 1),
        text: shown(label.label().unwrap_or("")),
        source: from.text,
    })
}

/// The part of a source line that is shown.
struct Cut {
    text: String,
    /// Characters left out in front, less the ellipsis.
    skipped: usize,
}

impl Cut {
    fn of(line: &str, first_mark: usize) -> Cut {
        let chars: Vec<char> = line
            .trim_end()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { visible(c) })
            .collect();
        if chars.len() <= MAX_LINE {
            return Cut {
                text: chars.into_iter().collect(),
                skipped: 0,
            };
        }
        let from = first_mark.saturating_sub(MAX_LINE / 3).min(chars.len());
        let to = (from + MAX_LINE).min(chars.len());
        let middle: String = chars[from..to].iter().collect();
        let tail = if to < chars.len() { "…" } else { "" };
        match from {
            0 => Cut {
                text: format!("{middle}{tail}"),
                skipped: 0,
            },
            _ => Cut {
                text: format!("…{middle}{tail}"),
                skipped: from - 1,
            },
        }
    }

    /// Where a mark stands under the shown text.
    fn shift(&self, mark: &Underline) -> (usize, usize) {
        let from = mark.start.saturating_sub(self.skipped).min(MAX_LINE + 1);
        let to = mark.end.saturating_sub(self.skipped).min(MAX_LINE + 2);
        (from, to.max(from + 1))
    }
}
