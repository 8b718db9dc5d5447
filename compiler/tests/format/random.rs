//! Random `.vsr` texts that parse, from a seed: every form of the grammar, and between the tokens random blanks, line
//! breaks and comments wherever the language lets them stand.

/// A text of about `n_items` items.
pub fn text(seed: u64, n_items: usize) -> String {
    let mut random = Random {
        state: seed | 1,
        out: String::new(),
    };
    for _ in 0..n_items {
        random.item();
        random.lines();
    }
    random.out
}

struct Random {
    state: u64,
    out: String,
}

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn one_of<'s>(&mut self, words: &[&'s str]) -> &'s str {
        words[self.below(words.len() as u64) as usize]
    }

    fn put(&mut self, text: &str) {
        self.out += text;
    }

    /// Anything that may stand between two tokens, or nothing.
    fn gap(&mut self) {
        match self.below(20) {
            0 => self.put("  "),
            1 => self.put("\n      "),
            2 => self.put(" # why\n\t"),
            3 => self.put("\n\n  # a comment of its own\n   "),
            4..=9 => self.put(" "),
            _ => {}
        }
    }

    /// The same, and never nothing.
    fn space(&mut self) {
        let before = self.out.len();
        self.gap();
        if self.out.len() == before {
            self.put(" ");
        }
    }

    fn token(&mut self, text: &str) {
        self.gap();
        self.put(text);
        self.gap();
    }

    /// The end of a line and perhaps more.
    fn lines(&mut self) {
        if self.chance(15) {
            self.put("  # at the end");
        }
        self.put("\n");
        match self.below(8) {
            0 => self.put("\n\n"),
            1 => self.put("## a document\n"),
            2 => self.put("\n# apart\n\n"),
            _ => {}
        }
    }

    fn list(&mut self, most: u64, mut each: impl FnMut(&mut Random)) {
        let n = self.below(most + 1);
        for i in 0..n {
            if i > 0 {
                self.token(",");
            }
            each(self);
        }
        if n > 0 && self.chance(10) {
            self.token(",");
        }
    }

    fn name(&mut self) {
        let name = self.one_of(&[
            "a",
            "x",
            "long_name_of_a_value",
            "where",
            "kernel",
            "u",
            "mean",
        ]);
        self.put(name);
    }

    fn dim(&mut self) {
        let dim = self.one_of(&["H", "W", "B", "Channels"]);
        self.put(dim);
    }

    fn item(&mut self) {
        match self.below(9) {
            0 => self.import(),
            1..=3 => self.op(),
            4 | 5 => self.block(),
            6 => self.weights(),
            7 => {
                self.put("frozen net? = Net(1)");
                self.space();
                self.put("from \"weights/net.safetensors\"");
                self.space();
                self.put("via rules as f32");
            }
            _ => {
                self.put("profile p {");
                let n = self.below(5);
                for _ in 0..n {
                    self.space();
                    self.dim();
                    self.token("=");
                    let value = self.one_of(&["1", "bf16", "2.5e3"]);
                    self.put(value);
                    self.put(" ");
                }
                self.put("}");
            }
        }
    }

    fn import(&mut self) {
        self.put("use Up");
        self.token(",");
        self.put("rules");
        self.space();
        self.put("from");
        self.token("\"a file.vsr\"");
    }

    fn op(&mut self) {
        self.put("op f");
        self.inputs();
        self.clauses();
        if self.chance(20) {
            self.space();
            self.put("kernel conv");
        }
        self.definition();
        if self.chance(20) {
            self.space();
            self.put("grad(y");
            self.token(",");
            self.put("dy)");
            self.definition();
        }
    }

    fn block(&mut self) {
        let kind = self.one_of(&["block Net", "model Net", "train net"]);
        self.put(kind);
        self.inputs();
        if kind == "train net" {
            self.put(" = Net(");
            self.list(3, Random::argument);
            self.put(")");
            self.space();
            return self.body(2, false);
        }
        self.inputs();
        self.clauses();
        self.definition();
    }

    fn definition(&mut self) {
        if self.chance(40) {
            self.token("=");
            self.expr(3);
        } else {
            self.space();
            self.body(2, true);
        }
    }

    fn inputs(&mut self) {
        self.put("(");
        self.list(6, |r| {
            r.name();
            r.token(":");
            r.ty();
            if r.chance(30) {
                r.token("=");
                r.expr(1);
            }
        });
        self.put(")");
    }

    fn ty(&mut self) {
        if self.chance(30) {
            let ty = self.one_of(&["int", "float", "list", "str", "f32[]", "f32 [B]"]);
            return self.put(ty);
        }
        self.put("[");
        self.list(4, |r| match r.below(4) {
            0 => r.put("...S"),
            1 => r.expr(1),
            _ => r.dim(),
        });
        self.put("]");
    }

    fn clauses(&mut self) {
        if self.chance(60) {
            self.token("->");
            self.ty();
        }
        if self.chance(30) {
            self.space();
            self.put("where ");
            self.expr(1);
            if self.chance(50) {
                self.token(",");
                self.expr(2);
            }
        }
    }

    fn weights(&mut self) {
        self.put("weights rules {");
        let n = self.below(4);
        for _ in 0..n {
            self.space();
            let rule = self.one_of(&[
                "{...a}.max.{p} -> {...a}.in_proj_{p} [0:768]",
                "a.b.0 -> {3*i + 1}.op.if transposed",
                "ignore a.{...p}",
                "{i}b.c->c.x{ i }[a:2*b]transposed",
            ]);
            self.put(rule);
            self.space();
        }
        self.put("}");
    }

    /// Statements in braces, and a value where one must stand.
    fn body(&mut self, depth: u32, has_value: bool) {
        self.put("{");
        let n = self.below(4);
        let is_short = n == 0 && self.chance(60);
        if is_short {
            self.put(" ");
        }
        for _ in 0..n {
            self.lines();
            self.statement(depth);
        }
        if has_value {
            if !is_short {
                self.lines();
            }
            self.body_value(depth);
        }
        if is_short {
            self.put(" ");
        } else {
            self.lines();
        }
        self.put("}");
    }

    /// What begins with `if` would be a statement, and end with it.
    fn body_value(&mut self, depth: u32) {
        if self.chance(50) {
            self.put("(");
            self.expr(depth);
            return self.put(")");
        }
        self.name_read();
        self.token("|>");
        self.stage(depth.saturating_sub(1));
    }

    fn statement(&mut self, depth: u32) {
        match self.below(12) {
            0 => {
                self.put("a");
                self.token(",");
                self.put("b");
                self.token("=");
                self.expr(depth);
            }
            1 => {
                self.put("z");
                self.token(":");
                self.put("[B, ");
                self.dim();
                self.put("]");
                self.token("=");
                self.expr(depth);
            }
            2 | 3 => {
                self.put("y[i, k in 0..");
                self.dim();
                self.put(", ...s]");
                self.token("=");
                self.expr(depth);
            }
            4 => {
                self.put("param w @a.{2*i}.in_b");
                self.token(":");
                self.ty();
                self.token("=");
                self.expr(1);
            }
            5 => self.put("state m: [C] = 0"),
            6 => {
                self.put("next m");
                self.token("=");
                self.expr(depth);
            }
            7 if depth > 0 => {
                self.put("for i, j in ");
                self.expr(1);
                self.space();
                self.body(depth - 1, false);
            }
            8 if depth > 0 => {
                self.put("if ");
                self.condition();
                self.space();
                self.body(depth - 1, false);
                if self.chance(60) {
                    self.space();
                    self.put("else if ");
                    self.condition();
                    self.space();
                    self.body(depth - 1, false);
                    self.space();
                    self.put("else ");
                    self.body(depth - 1, false);
                }
            }
            _ => {
                self.put("long_name_of_a_value");
                self.token("=");
                self.expr(depth + 1);
            }
        }
    }

    fn condition(&mut self) {
        self.operand(0);
        let relation = self.one_of(&["==", "<=", " in ", "!=", " and "]);
        self.token(relation);
        self.operand(0);
    }

    /// Any expression, a pipeline perhaps.
    fn expr(&mut self, depth: u32) {
        if depth == 0 {
            return self.operand(0);
        }
        match self.below(8) {
            0 => {
                self.operand(depth - 1);
                let n = 1 + self.below(4);
                for _ in 0..n {
                    self.token("|>");
                    self.stage(depth - 1);
                }
            }
            1 => {
                self.put("-");
                self.gap();
                self.operand(depth - 1);
            }
            2 => {
                self.put("not ");
                self.operand(depth - 1);
            }
            3 => {
                let reducer = self.one_of(&["sum", "lse", "max"]);
                self.put(reducer);
                self.put("[k, ...s, j in 1..n]");
                self.gap();
                self.operand(depth - 1);
            }
            _ => {
                self.operand(depth - 1);
                let n = self.below(5);
                for _ in 0..n {
                    let operator = self.one_of(&["+", "-", "*", "/", "//", "%", "**", " or "]);
                    self.token(operator);
                    self.operand(depth - 1);
                }
            }
        }
    }

    fn stage(&mut self, depth: u32) {
        match self.below(3) {
            0 => self.put("relu"),
            1 => {
                self.put("split(");
                self.list(3, |r| r.argument_of(depth));
                self.put(")");
            }
            _ => {
                self.put("Conv2d(");
                self.list(3, |r| r.argument_of(depth));
                let end = self.one_of(&[") @a.{i}.b2c_{n + 1}", ")(skip, x)", ")"]);
                self.put(end);
                self.put(" ");
            }
        }
    }

    /// Positional, as those with names come last.
    fn argument(&mut self) {
        self.argument_of(1);
    }

    fn argument_of(&mut self, depth: u32) {
        self.expr(depth);
    }

    fn operand(&mut self, depth: u32) {
        let kinds = if depth == 0 { 5 } else { 10 };
        match self.below(kinds) {
            0 => self.name_read(),
            1 => self.dim(),
            2 => {
                let number = self.one_of(&["1", "0.5", "1e-5", "12345", "2.5e+3"]);
                self.put(number);
            }
            3 => {
                let text = self.one_of(&["\"a # b\"", "true", "\"bicubic\""]);
                self.put(text);
            }
            4 => self.name_read(),
            5 => {
                self.put("(");
                self.gap();
                self.expr(depth);
                self.gap();
                self.put(")");
            }
            6 => {
                self.put("f(");
                self.list(4, |r| r.argument_of(depth - 1));
                self.put(")");
            }
            7 => {
                self.put("x[");
                self.list(4, |r| match r.below(5) {
                    0 => r.put(":"),
                    1 => {
                        r.operand(0);
                        r.token(":");
                    }
                    2 => r.put(":-1"),
                    3 => r.put("...s"),
                    _ => r.expr(depth - 1),
                });
                self.put("]");
                if self.chance(30) {
                    self.space();
                    self.put("else ");
                    self.operand(0);
                }
            }
            8 => {
                self.put("[");
                if self.chance(30) {
                    self.expr(depth - 1);
                    self.space();
                    self.put("for t in 0");
                    self.token("..");
                    self.put("T");
                } else {
                    self.list(4, |r| r.expr(depth - 1));
                }
                self.put("]");
            }
            _ => {
                self.put("if ");
                self.condition();
                self.space();
                self.body(0, true);
                self.space();
                self.put("else ");
                self.body(0, true);
            }
        }
    }

    fn name_read(&mut self) {
        let name = self.one_of(&["a", "x", "long_name_of_a_value", "training"]);
        self.put(name);
    }
}
