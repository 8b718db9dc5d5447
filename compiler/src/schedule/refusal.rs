//! Why two kernels are not one: a name for each reason that fusion has.
//!
//! Enters nothing; leaves words, which `fuse` answers with and `--emit schedule` prints. Nothing is decided here.

/// A kernel computes what another one reads; why the reader ("it") is no member of that kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The rules say that each value has a kernel of its own.
    FusionOff,
    /// One of the two adds to computed places, which takes a kernel alone.
    Scatters,
    /// One of the two is written in parts: by several equations, or with zeros around what one computes.
    InPieces,
    /// One runs once when weights are loaded, the other in every run.
    OtherTime,
    /// One writes a weight's new values over what the other reads elsewhere.
    Rewrites,
    /// It writes a weight's new values, and the kernel begins with a reduction or contraction.
    RewritesBehindSum,
    /// It is a reduction, which neither a contraction nor a kernel of maps takes along.
    Reduces,
    /// It is a result, which lies row-major, and the kernel is a contraction.
    IsResult,
    /// It reads its operand at other places than at its own: neighbours, a mirror image, computed positions.
    ReadsAcross,
    /// It goes over other indices than the kernel, or is written in another order.
    OtherBox,
    /// It has indices more than the kernel, which would be one loop more around a map or contraction.
    MorePoints,
    /// It has one index where the kernel has several, its digits, and the kernel is a contraction.
    SplitsIndex,
    /// Its innermost loop would be a short digit of an index: a pixel shuffle's two.
    ShortRows,
    /// Its rows, or the kernel's, leave the cache between two passes.
    LongRows,
    /// It needs something that needs the kernel's results first, by way of other kernels.
    WouldWait,
    /// The kernel has as many members as there may be.
    TooManyMembers,
    /// It begins the kernel that it is in, which was there first: contractions begin theirs before sums, and sums before maps.
    InAnotherKernel,
}

impl Refusal {
    pub const ALL: [Refusal; 17] = [
        Refusal::FusionOff,
        Refusal::Scatters,
        Refusal::InPieces,
        Refusal::OtherTime,
        Refusal::Rewrites,
        Refusal::RewritesBehindSum,
        Refusal::Reduces,
        Refusal::IsResult,
        Refusal::ReadsAcross,
        Refusal::OtherBox,
        Refusal::MorePoints,
        Refusal::SplitsIndex,
        Refusal::ShortRows,
        Refusal::LongRows,
        Refusal::WouldWait,
        Refusal::TooManyMembers,
        Refusal::InAnotherKernel,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Refusal::FusionOff => "fusion-off",
            Refusal::Scatters => "scatters",
            Refusal::InPieces => "in-pieces",
            Refusal::OtherTime => "other-time",
            Refusal::Rewrites => "rewrites-what-is-read",
            Refusal::RewritesBehindSum => "rewrites-behind-a-sum",
            Refusal::Reduces => "reduces",
            Refusal::IsResult => "is-a-result",
            Refusal::ReadsAcross => "reads-across",
            Refusal::OtherBox => "other-box",
            Refusal::MorePoints => "more-points",
            Refusal::SplitsIndex => "splits-an-index",
            Refusal::ShortRows => "short-rows",
            Refusal::LongRows => "long-rows",
            Refusal::WouldWait => "would-wait",
            Refusal::TooManyMembers => "too-many-members",
            Refusal::InAnotherKernel => "in-another-kernel",
        }
    }

    /// An answer: this, where it holds.
    pub(super) fn when(self, holds: bool) -> Result<(), Refusal> {
        match holds {
            true => Err(self),
            false => Ok(()),
        }
    }
}
