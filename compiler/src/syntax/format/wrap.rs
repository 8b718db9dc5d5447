//! Where a line that is too long, or that holds a comment, breaks: before each `|>` of its outermost pipeline; after
//! `=`; before the last outermost operator that fits; after the last comma of the outermost bracket that fits; then the
//! same further inside. Takes tokens with their spacing, gives rows; decisions depend on the tokens alone.

use super::WIDTH;
use super::rows::Row;
use super::tree::{Class, Tok};

/// Where rows start.
#[derive(Clone, Copy)]
pub(super) struct Indent {
    pub first: usize,
    pub rest: usize,
    /// Rows that go on inside of a bracket of the first one.
    pub inner: usize,
}

impl Indent {
    pub fn new(first: usize, rest: usize) -> Indent {
        Indent {
            first,
            rest,
            inner: rest,
        }
    }

    /// For the rows after a break outside of all brackets.
    fn after(self) -> Indent {
        Indent {
            first: self.rest,
            inner: self.rest + 2,
            ..self
        }
    }

    /// For the rows after a break inside of a bracket.
    fn within(self) -> Indent {
        Indent {
            first: self.inner,
            ..self
        }
    }
}

/// Lays tokens out as rows.
pub(super) fn wrap<'a>(toks: &[Tok<'a>], indent: Indent, rows: &mut Vec<Row<'a>>) {
    let Some(first) = toks.first() else { return };
    own_comments(first, indent, rows);
    lay(toks, indent, rows);
}

fn own_comments<'a>(tok: &Tok<'a>, indent: Indent, rows: &mut Vec<Row<'a>>) {
    for comment in &tok.comments {
        rows.push(Row::own_comment(indent.first, comment.text));
    }
}

/// The same, below the comments of the first token. Each row costs what it takes: a line may be a megabyte long.
fn lay<'a>(toks: &[Tok<'a>], mut indent: Indent, rows: &mut Vec<Row<'a>>) {
    if fits(toks, indent.first) && !is_forced(toks) {
        return rows.push(row(toks, indent.first));
    }
    let known = Known::of(toks);
    let mut rest = Rest {
        toks,
        known: &known,
        at: 0,
    };
    loop {
        let left = rest.toks();
        if rest.forced().is_none() && fits(left, indent.first) {
            return rows.push(row(left, indent.first));
        }
        let base = rest.base();
        if rest.has_pipe(base) {
            return at_pipes(left, base, indent, rows);
        }
        let Some(n) = rest.break_after(base, indent) else {
            return rows.push(row(left, indent.first));
        };
        lay(&left[..n], indent, rows);
        let is_inside = left[n].depth > base;
        indent = if is_inside {
            indent.within()
        } else {
            indent.after()
        };
        rest.at += n;
        own_comments(&left[n], indent, rows);
    }
}

fn at_pipes<'a>(toks: &[Tok<'a>], base: usize, indent: Indent, rows: &mut Vec<Row<'a>>) {
    let is_pipe = |tok: &Tok<'_>| tok.class == Class::Pipe && tok.depth == base;
    let first = toks
        .iter()
        .skip(1)
        .position(is_pipe)
        .map_or(toks.len(), |n| n + 1);
    lay(&toks[..first], indent, rows);
    for stage in toks[first..].chunk_by(|_, tok| !is_pipe(tok)) {
        wrap(stage, Indent::new(indent.rest, indent.rest + 2), rows);
    }
}

/// Of each token, what is known of all from it on.
struct Known {
    /// The least depth of all, and of pipes.
    base: Vec<usize>,
    pipe: Vec<usize>,
    /// The next token before which a comment ends the row.
    forced: Vec<usize>,
    /// Before which token a row may end: the least deep such place, and of these the first.
    place: Vec<(usize, usize)>,
    /// Where `=` of statements and bodies stand.
    assigns: Vec<usize>,
}

const NONE: usize = usize::MAX;

impl Known {
    fn of(toks: &[Tok<'_>]) -> Known {
        let n = toks.len();
        let mut known = Known {
            base: vec![NONE; n + 1],
            pipe: vec![NONE; n + 1],
            forced: vec![NONE; n + 1],
            place: vec![(NONE, NONE); n + 1],
            assigns: vec![],
        };
        for at in (0..n).rev() {
            let tok = &toks[at];
            known.base[at] = known.base[at + 1].min(tok.depth);
            known.pipe[at] = match tok.class {
                Class::Pipe => known.pipe[at + 1].min(tok.depth),
                _ => known.pipe[at + 1],
            };
            known.forced[at] = known.forced[at + 1];
            known.place[at] = known.place[at + 1];
            if at > 0 {
                if is_forced_at(toks, at) {
                    known.forced[at] = at;
                }
                let own = place_level(toks, at).map(|level| (level, at));
                known.place[at] = own.map_or(known.place[at], |own| own.min(known.place[at]));
            }
            if tok.class == Class::Assign {
                known.assigns.push(at);
            }
        }
        known.assigns.reverse();
        known
    }
}

/// At which depth a row may end before token n: before an operator there, or after a comma inside of it.
fn place_level(toks: &[Tok<'_>], n: usize) -> Option<usize> {
    let (before, after) = (&toks[n - 1], &toks[n]);
    let operator = matches!(after.class, Class::Operator(_)).then_some(after.depth);
    let comma = (before.class == Class::Comma).then(|| before.depth.saturating_sub(1));
    operator.into_iter().chain(comma).min()
}

/// The tokens that have no row yet.
struct Rest<'t, 'a> {
    toks: &'t [Tok<'a>],
    known: &'t Known,
    at: usize,
}

impl<'t, 'a> Rest<'t, 'a> {
    fn toks(&self) -> &'t [Tok<'a>] {
        &self.toks[self.at..]
    }

    fn base(&self) -> usize {
        match self.known.base[self.at] {
            NONE => 0,
            base => base,
        }
    }

    fn has_pipe(&self, base: usize) -> bool {
        self.known.pipe.get(self.at + 1) == Some(&base)
    }

    /// How many tokens stand before the first comment that ends a row.
    fn forced(&self) -> Option<usize> {
        let forced = *self.known.forced.get(self.at + 1)?;
        (forced != NONE).then(|| forced - self.at)
    }

    /// How many tokens the first row takes.
    fn break_after(&self, base: usize, indent: Indent) -> Option<usize> {
        let toks = self.toks();
        if let Some(forced) = self.forced() {
            return Some(forced);
        }
        if let Some(n) = self.assign(base).map(|n| n + 1).filter(|n| *n < toks.len())
            && fits(&toks[n..], indent.rest)
        {
            return Some(n);
        }
        let n_fitting = n_fitting(toks, indent.first);
        let deepest = toks.iter().take(n_fitting + 1).map(|tok| tok.depth).max();
        let fitting = (base..=deepest.unwrap_or(base).max(base)).find_map(|depth| {
            let places = Places {
                toks,
                depth,
                n_fitting,
            };
            places.best(base)
        });
        // Nothing fits: what follows the first place may.
        fitting.or_else(|| self.first(base))
    }

    /// The `=` outside of all brackets that are closed further on.
    fn assign(&self, base: usize) -> Option<usize> {
        let next = self.known.assigns.partition_point(|n| *n < self.at);
        let mut left = self.known.assigns[next..].iter();
        let found = left.find(|n| self.toks[**n].depth == base)?;
        Some(found - self.at)
    }

    /// The least deep place, and of these the first.
    fn first(&self, base: usize) -> Option<usize> {
        let (level, n) = *self.known.place.get(self.at + 1)?;
        if level == NONE {
            return None;
        }
        if level > base {
            return Some(n - self.at);
        }
        let toks = self.toks();
        (1..toks.len()).find(|&n| place_level(toks, n).is_some_and(|level| level <= base))
    }
}

/// The places at one depth where a row may end that fits.
struct Places<'t, 'a> {
    toks: &'t [Tok<'a>],
    depth: usize,
    /// So many tokens fit a row.
    n_fitting: usize,
}

impl Places<'_, '_> {
    fn best(&self, base: usize) -> Option<usize> {
        // Before the last of the loosest operators.
        let operator = (1..=5).find_map(|n| self.last(self.depth, Class::Operator(n), 0));
        let comma = || self.last(self.depth + 1, Class::Comma, 1);
        let pipe = || self.last(self.depth, Class::Pipe, 0);
        let outer = || self.last(base, Class::Comma, 1);
        let best = operator.or_else(comma).or_else(pipe);
        best.or_else(|| (self.depth == base).then(outer).flatten())
    }

    /// The last token of that class with which (`with` 1) or before which (0) a row ends and fits.
    fn last(&self, depth: usize, class: Class, with: usize) -> Option<usize> {
        let mut ends = (1..self.toks.len().min(self.n_fitting + 1)).rev();
        ends.find(|&n| self.toks[n - with].class == class && self.toks[n - with].depth == depth)
    }
}

/// How many of the tokens fit a row.
fn n_fitting(toks: &[Tok<'_>], indent: usize) -> usize {
    let mut width = indent;
    for (n, tok) in toks.iter().enumerate() {
        width += tok.text.chars().count() + usize::from(tok.space && n > 0);
        if width > WIDTH {
            return n;
        }
    }
    toks.len()
}

/// A comment ends the row before token n.
fn is_forced_at(toks: &[Tok<'_>], n: usize) -> bool {
    toks[n - 1].trailing.is_some() || !toks[n].comments.is_empty()
}

pub(super) fn is_forced(toks: &[Tok<'_>]) -> bool {
    (1..toks.len()).any(|n| is_forced_at(toks, n))
}

pub(super) fn fits(toks: &[Tok<'_>], indent: usize) -> bool {
    n_fitting(toks, indent) == toks.len()
}

pub(super) fn width(toks: &[Tok<'_>]) -> usize {
    let own = |tok: &Tok<'_>| tok.text.chars().count() + usize::from(tok.space);
    let first = toks.first().map_or(0, |tok| usize::from(tok.space));
    toks.iter().map(own).sum::<usize>() - first
}

/// Tokens on one row.
pub(super) fn row<'a>(toks: &[Tok<'a>], indent: usize) -> Row<'a> {
    Row {
        indent,
        text: text(toks),
        comment: toks.last().and_then(|tok| tok.trailing),
    }
}

pub(super) fn text(toks: &[Tok<'_>]) -> String {
    let mut text = String::new();
    for (n, tok) in toks.iter().enumerate() {
        if tok.space && n > 0 {
            text.push(' ');
        }
        text += &tok.text;
    }
    text
}
