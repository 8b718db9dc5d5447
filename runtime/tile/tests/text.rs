//! The text of tile programs parses back: every form, kernels drawn from seeds, literals to the bit; and what differs in one field
//! has another identity.

use crate::errors;
use crate::random::Draw;
use std::collections::HashMap;
use vsr_tile::{
    Binary, Contract, ContractInit, Int, Kernel, Lit, Stmt, To, Unary, Val, identity, parse,
    parse_kernel, print,
};

/// Every form there is.
pub const EVERY: &str = include_str!("every.tile");

pub fn assert_returns(kernel: &Kernel) {
    let text = print(kernel);
    let back = parse_kernel(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(back == *kernel, "{text}\n{}", print(&back));
    assert_eq!(print(&back), text);
}

/// Without comments it is printed as it is written.
#[test]
fn the_text_of_every_form_is_its_print() {
    let kernel = parse_kernel(EVERY).unwrap();
    let heading = EVERY.find("kernel").unwrap();
    assert_eq!(print(&kernel), EVERY[heading..]);
    assert_eq!(
        parse(&format!("{EVERY}\n# again\n{EVERY}")).unwrap(),
        [kernel.clone(), kernel]
    );
    assert_eq!(parse(" \n# nothing\n").unwrap(), []);
}

/// The example at the head of the parser.
#[test]
fn the_documented_text_parses() {
    let page = include_str!("../src/parse/mod.rs");
    let (_, rest) = page.split_once("//! ```text\n").unwrap();
    let (example, _) = rest.split_once("//! ```\n").unwrap();
    let kernels = parse(&example.replace("//! ", "")).unwrap();
    assert_eq!(kernels.len(), 1);
    assert_returns(&kernels[0]);
}

#[test]
fn every_field_of_a_contraction_has_its_place() {
    let kernel = parse_kernel(EVERY).unwrap();
    let contract = kernel.body.iter().find_map(|stmt| match stmt {
        Stmt::Contract(contract) => Some(&**contract),
        _ => None,
    });
    let c = Int::Const;
    let step = Int::Sub(Box::new(c(13)), Box::new(Int::Arg(0)));
    let expected = Contract {
        c: To::Tile(0),
        c_at: c(1),
        m: c(2),
        ldc: c(3),
        n: c(4),
        init: ContractInit::Bias(4, c(5)),
        n_taps: c(6),
        taps: 3,
        taps_at: c(7),
        k: c(8),
        a: To::Buf(0),
        rows: 1,
        rows_at: c(9),
        a_at: c(10),
        a_step: c(11),
        b: To::Buf(2),
        b_at: c(12),
        b_step: step,
        b_panel: c(14),
    };
    assert_eq!(contract, Some(&expected));
}

#[test]
fn drawn_kernels_return() {
    let mut drawn = String::new();
    for seed in 0..2000 {
        let kernel = Draw::new(seed).kernel();
        assert_returns(&kernel);
        if seed < 200 {
            drawn += &format!("{kernel:?}");
        }
    }
    // Each form is among them.
    let forms = "Const Var Arg Add Sub Mul Div Rem Min Max Floor Whole Table Tile Lit Buf FromInt Unary Binary Select Guarded \
        Random Val Int For Let If Compute Rows Contract Store NonTemporal Sum Zero Keep Bias In Out InOut F32 I64 \
        Lt Le Gt Ge Eq Ne";
    let functions = Unary::ALL.iter().map(|f| format!("{f:?}"));
    let functions = functions.chain(Binary::ALL.iter().map(|f| format!("{f:?}")));
    let forms = forms.split_whitespace().map(str::to_string);
    for form in forms.chain(functions) {
        let is_drawn = |end| {
            drawn.contains(&format!(" {form}{end}")) || drawn.contains(&format!("({form}{end}"))
        };
        assert!(
            ["(", ",", " ", ")", "{"].into_iter().any(is_drawn),
            "{form}"
        );
    }
}

/// Without names, which are no part of an identity.
fn nameless(kernel: &Kernel) -> Kernel {
    let mut kernel = kernel.clone();
    kernel.name.clear();
    kernel.buffers.iter_mut().for_each(|b| b.name.clear());
    kernel.tiles.iter_mut().for_each(|t| t.name.clear());
    kernel
}

/// Each kernel's identity is its own: that of no other among those seen.
#[derive(Default)]
struct Identities(HashMap<[u8; 32], Kernel>);

impl Identities {
    fn add(&mut self, kernel: &Kernel) {
        let kernel = nameless(kernel);
        let seen = self
            .0
            .entry(identity(&kernel))
            .or_insert_with(|| kernel.clone());
        assert!(*seen == kernel, "{}\n{}", print(seen), print(&kernel));
    }
}

/// Every token in turn becomes another one of its sort: whatever still parses differs in one field.
#[test]
fn kernels_that_differ_in_one_field_have_other_identities() {
    let functions: Vec<&str> = Unary::ALL.iter().map(|f| f.name()).collect();
    let functions = functions.join(" ");
    let swaps = [
        "0 1 2 3 4 5 6 7 8 9 10 13 16 32 64",
        "b0 b1 b2 b3 b4",
        "t0 t1",
        "v0 v1 v2 v3 v4 v5 v6",
        "a0 a1",
        "in out inout table",
        "f32 i64",
        "= =stream += max= min=",
        "sum max min",
        "+ - * / // %",
        "< <= > >= == !=",
        "0 keep b4[5]",
        &functions,
        "pow min max atan2",
        "uniform normal",
        "f64 widen",
        "NaN NaN:0x7ff8000000000001 NaN:0xfff8000000000000 inf -inf 0 -0 1e300 5e-324",
        "0x4d 0x4e",
    ];
    let original = parse_kernel(EVERY).unwrap();
    let (mut identities, mut n_changed) = (Identities::default(), 0);
    identities.add(&original);
    for sort in swaps {
        let tokens: Vec<&str> = sort.split(' ').collect();
        for token in &tokens {
            for (at, _) in EVERY.match_indices(token) {
                for other in &tokens {
                    let text = format!("{}{other}{}", &EVERY[..at], &EVERY[at + token.len()..]);
                    let Ok(changed) = parse_kernel(&text) else {
                        continue;
                    };
                    n_changed += usize::from(changed != original);
                    assert_eq!(parse_kernel(&print(&changed)).as_ref(), Ok(&changed));
                    identities.add(&changed);
                }
            }
        }
    }
    assert!(n_changed > 1000, "{n_changed}");
    for seed in 0..500 {
        identities.add(&Draw::new(seed).kernel());
    }
}

fn stored(value: &str) -> Val {
    let kernel = parse_kernel(&errors::storing(value)).unwrap();
    match &kernel.body[0] {
        Stmt::Compute(compute) => compute.value.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn literals_keep_their_bits() {
    for (text, value) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("1e-3", 0.001),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("NaN", f64::NAN),
        ("NaN:0xfff8000000000000", -f64::NAN),
        (
            "NaN:0x7ff0000000000001",
            f64::from_bits(0x7ff0_0000_0000_0001),
        ),
    ] {
        assert_eq!(stored(text), Val::Lit(Lit::new(value)), "{text}");
    }
}

#[test]
fn operators_on_integers_go_from_the_left() {
    for (short, long) in [
        ("v1-a0-3+1", "((v1-a0)-3)+1"),
        ("v1*a0//3%2", "((v1*a0)//3)%2"),
        ("v1+a0*3-v1//2", "(v1+(a0*3))-(v1//2)"),
        ("v1--1", "v1 - -1"),
        ("v1-1", "v1 - 1"),
    ] {
        assert_eq!(
            stored(&format!("f32({short})")),
            stored(&format!("f32({long})")),
            "{short}"
        );
    }
    assert_ne!(stored("f32(v1-1)"), stored("f32(v1+-1)"));
    assert_ne!(stored("f32(v1+(a0+3))"), stored("f32(v1+a0+3)"));
}
