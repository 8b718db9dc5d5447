//! What a row of the table says of a function, and what follows from it.
//!
//! Enters rows; leaves an enum of them with their facts. Nothing here knows a function by name.

/// A function of numbers. `C`: the calls of compiled code that there are for as many arguments.
#[derive(Debug)]
pub struct Function<C: 'static> {
    /// In networks and tile programs; a sign stands between its operands.
    pub name: &'static str,
    /// Arguments as a call in a network names them; none where the language has an operator, or no name, for it.
    pub args: &'static [&'static str],
    pub derivative: &'static str,
    pub values: Values,
    pub bounds: Bounds,
    /// Whether finite arguments give finite numbers; a quotient's divisor is looked at besides.
    pub is_finite: bool,
    pub code: Code<C>,
}

/// Which numbers come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    Any,
    /// Whole ones if the arguments are, without a rounding.
    AsArguments,
    /// Whole ones, by steps.
    Whole,
}

/// How far values reach, for arguments between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    Unknown,
    Increasing,
    /// The same for `-x`, and increasing above 0.
    Even,
}

/// How compiled code computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code<C> {
    /// By an instruction, or few: counted as an operation.
    Inline,
    /// By a call along a row.
    Call(C),
}

impl<C> Function<C> {
    pub const INLINE: Function<C> = Function {
        name: "",
        args: &[],
        derivative: "0",
        values: Values::Any,
        bounds: Bounds::Unknown,
        is_finite: true,
        code: Code::Inline,
    };

    pub const OF_X: Function<C> = Function {
        args: &["x"],
        ..Function::INLINE
    };

    /// Whether it stands between its operands.
    pub fn is_sign(&self) -> bool {
        !self.name.starts_with(|c: char| c.is_ascii_alphabetic())
    }

    pub fn is_inline(&self) -> bool {
        matches!(self.code, Code::Inline)
    }

    /// Whether it keeps whole numbers whole, and rounds nothing.
    pub fn keeps_whole(&self) -> bool {
        self.values == Values::AsArguments
    }

    /// Whether it makes whole numbers of any.
    pub fn is_step(&self) -> bool {
        self.values == Values::Whole
    }

    /// Whether no gradient goes through it.
    pub fn is_flat(&self) -> bool {
        self.derivative == "0"
    }
}

/// Makes something of each call, by its number in the binary interface: see `Map::each`.
pub trait Each {
    type Made;
    fn make<const CALL: usize>() -> Self::Made;
}

/// An enum with the facts of each of its functions.
macro_rules! functions {
    ($(#[$doc:meta])* $kind:ident: $type:ty, calls $call:ty;
     $($(#[$row_doc:meta])* $row:ident = $of:expr, $facts:expr;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind { $($(#[$row_doc])* $row),* }

        impl $kind {
            pub const ALL: &[$kind] = &[$($kind::$row),*];

            pub fn named(name: &str) -> Option<$kind> {
                $kind::ALL.iter().copied().find(|f| f.name() == name)
            }

            pub fn name(self) -> &'static str {
                self.facts().name
            }

            pub fn facts(self) -> &'static Function<$call> {
                match self { $($kind::$row => const { &$facts }),* }
            }

            /// What gives the value.
            fn function(self) -> $type {
                match self { $($kind::$row => $of),* }
            }

            pub fn derivative(self) -> &'static super::Formula {
                match self { $($kind::$row => {
                    static PARSED: std::sync::LazyLock<super::Formula> =
                        std::sync::LazyLock::new(|| super::Formula::parse($kind::$row.facts().derivative));
                    &PARSED
                })* }
            }
        }
    };
}

/// An enum of what compiled code calls; its numbers are those of the binary interface.
macro_rules! calls {
    ($(#[$doc:meta])* $kind:ident: $($call:ident),*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind { $($call),* }

        impl $kind {
            pub const ALL: &[$kind] = &[$($kind::$call),*];
            pub const COUNT: usize = $kind::ALL.len();

            /// What is made of each, in the order of their numbers.
            pub fn each<E: super::Each>() -> [E::Made; $kind::COUNT] {
                [$(E::make::<{ $kind::$call as usize }>()),*]
            }
        }
    };
}

pub(super) use {calls, functions};
