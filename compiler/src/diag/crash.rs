//! What is said where vsrc itself fails: one sentence, with what it was working on. Enters a panic; leaves a `Crash`.
//! Nothing is printed here, and no panic is a message.
//!
//! Whoever works on something that a user knows says so with [`context`], [`context_at`] or [`kernel`]; the guard ends it.
//! Contexts are a thread's own: a thread that helps another takes them over with [`within`].

use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use super::{Sources, Span};

/// Of a longer message only the beginning is told.
const MAX_MESSAGE: usize = 300;

thread_local! {
    static CONTEXTS: RefCell<Vec<Around>> = const { RefCell::new(Vec::new()) };
}

/// What a thread works on.
#[derive(Clone)]
pub enum Around {
    Words(String),
    /// A place among the texts of the last `Among` before it.
    At(String, Span),
    Among(Arc<Sources>),
}

/// The first panic since somebody began to catch them: later ones, of threads that wait for it, only follow from it.
static FIRST: Mutex<Option<Crash>> = Mutex::new(None);
/// Calls of [`catch`] under way.
static N_CATCHING: AtomicUsize = AtomicUsize::new(0);

/// Until it is dropped, this thread works on what it was given.
#[must_use = "dropped at once, it says nothing"]
pub struct Context {
    n_before: usize,
    /// The contexts of one thread end on it.
    _here: std::marker::PhantomData<*const ()>,
}

/// This thread works on something that a user knows: `kernel head.conv at net.vsr:12`.
pub fn context(what: impl Into<String>) -> Context {
    within(vec![Around::Words(what.into())])
}

/// The same of a place of the texts that [`among`] names, where there is one.
pub fn context_at(what: impl Into<String>, span: Option<Span>) -> Context {
    let what = what.into();
    within(vec![match span {
        Some(span) => Around::At(what, span),
        None => Around::Words(what),
    }])
}

/// This thread works on a kernel, which a user knows by its label.
pub fn kernel(label: &str, span: Option<Span>) -> Context {
    context_at(format!("kernel {label}"), span)
}

/// This thread works on these texts.
pub fn among(sources: &Sources) -> Context {
    within(vec![Around::Among(Arc::new(sources.clone()))])
}

/// This thread helps one that works on `around`.
pub fn within(around: Vec<Around>) -> Context {
    CONTEXTS.with_borrow_mut(|contexts| {
        let n_before = contexts.len();
        contexts.extend(around);
        Context {
            n_before,
            _here: std::marker::PhantomData,
        }
    })
}

/// What this thread works on, the whole first.
pub fn contexts() -> Vec<Around> {
    CONTEXTS.with_borrow(Clone::clone)
}

/// Contexts as words, places named.
fn words(around: &[Around]) -> Vec<String> {
    let mut sources = None;
    let mut words = vec![];
    for one in around {
        match (one, &sources) {
            (Around::Among(texts), _) => sources = Some(texts.clone()),
            (Around::At(what, span), Some(texts)) => {
                words.push(format!("{what} at {}", texts.place(*span)));
            }
            (Around::At(what, _) | Around::Words(what), _) => words.push(what.clone()),
        }
    }
    words
}

impl Drop for Context {
    fn drop(&mut self) {
        CONTEXTS.with_borrow_mut(|contexts| contexts.truncate(self.n_before));
    }
}

/// A panic in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    message: String,
    /// Where in vsrc: `compiler/src/tile/mod.rs:12`.
    place: String,
    contexts: Vec<String>,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within: String = self
            .contexts
            .iter()
            .rev()
            .map(|c| format!(" in {c}"))
            .collect();
        // The standard library panics where a scope gets no thread.
        if let Some(reason) = self.message.strip_prefix("failed to spawn thread") {
            let reason = reason.trim_start_matches(": ");
            return write!(f, "the system gives no thread to work on{within}: {reason}");
        }
        write!(
            f,
            "vsrc failed{within}, which is a fault of vsrc and none of the text: please report this line together with \
the text ({}, at {})",
            self.message, self.place
        )
    }
}

/// Runs `work`; of a panic on any thread leaves what there is to say.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Crash> {
    listen();
    let n_before = CONTEXTS.with_borrow(Vec::len);
    take_first();
    N_CATCHING.fetch_add(1, Ordering::SeqCst);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    N_CATCHING.fetch_sub(1, Ordering::SeqCst);
    done.map_err(|_| {
        CONTEXTS.with_borrow_mut(|contexts| contexts.truncate(n_before));
        take_first().unwrap_or_else(|| Crash {
            message: "it broke off".into(),
            place: "an unknown place".into(),
            contexts: vec![],
        })
    })
}

fn take_first() -> Option<Crash> {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// From now on panics are noted and not printed, while somebody catches them.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if N_CATCHING.load(Ordering::SeqCst) == 0 {
                return before(info);
            }
            let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| Crash::of(info));
        }));
    });
}

impl Crash {
    fn of(info: &PanicHookInfo<'_>) -> Crash {
        let message = info.payload_as_str().unwrap_or("no message");
        let line = message.lines().next().unwrap_or_default();
        let place = info
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()));
        Crash {
            message: super::shortened(line, MAX_MESSAGE),
            place: place.unwrap_or_default(),
            // While a thread's locals are torn down there are none.
            contexts: CONTEXTS
                .try_with(|contexts| words(&contexts.borrow()))
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since a process has one hook.
    #[test]
    fn a_panic_becomes_one_sentence() {
        assert_eq!(catch(|| 3), Ok(3));
        let broken = |message: &str| {
            let message = message.to_string();
            let crash = catch(|| {
                let _text = context("models/net.vsr");
                drop(context("kernel done"));
                let mut sources = Sources::new();
                let file = sources.add("models/net.vsr", "\n  conv");
                let _sources = among(&sources);
                let _kernel = context_at("kernel head.conv", Some(Span::new(file, 3, 7)));
                panic!("{message}")
            });
            crash
                .map(|()| String::new())
                .unwrap_or_else(|crash| crash.to_string())
        };
        let said = broken("index out of bounds\nand much more");
        let start = "vsrc failed in kernel head.conv at models/net.vsr:2:3 in models/net.vsr, which is a fault of vsrc";
        assert!(said.starts_with(start), "{said}");
        assert!(
            said.contains("please report this line") && said.contains("crash.rs:"),
            "{said}"
        );
        assert!(
            !said.contains('\n') && !said.contains("much more"),
            "{said}"
        );
        assert!(broken(&"long ".repeat(1000)).len() < 700);
        assert!(contexts().is_empty(), "the guards have ended");

        // On another thread: its own contexts, and the first panic of all.
        let crash = catch(|| {
            let _text = context("a.vsr");
            let around = contexts();
            std::thread::scope(|scope| {
                let work = || {
                    let _around = within(around);
                    let _kernel = context("kernel b");
                    panic!("the first")
                };
                let joined: Result<(), _> = scope.spawn(work).join();
                joined.expect("the second");
            })
        });
        let said = crash.map_err(|crash| crash.to_string()).unwrap_err();
        assert!(
            said.starts_with("vsrc failed in kernel b in a.vsr,"),
            "{said}"
        );
        assert!(
            said.contains("the first") && !said.contains("second"),
            "{said}"
        );

        // The machine's fault is none of vsrc's.
        let said = broken("failed to spawn thread: too many");
        assert!(
            said.starts_with("the system gives no thread to work on") && !said.contains("report"),
            "{said}"
        );
        assert_eq!(catch(|| 4), Ok(4));
    }
}
