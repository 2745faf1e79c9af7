//! The driver of an operator precedence parser (Vaughan Pratt, "Top Down Operator Precedence", 1973).

use crate::{ParseError, SourceSpan};

/// How tightly an infix operator binds its two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    left: u8,
    right: u8,
}

impl Binding {
    /// `a o b o c` is `(a o b) o c`. Larger levels bind tighter; 127 is the largest.
    pub const fn left_associative(level: u8) -> Self {
        Self {
            left: level * 2,
            right: level * 2 + 1,
        }
    }

    /// `a o b o c` is `a o (b o c)`.
    pub const fn right_associative(level: u8) -> Self {
        Self {
            left: level * 2 + 1,
            right: level * 2,
        }
    }

    /// The power to give to [`Pratt::expression`] for the operand of a prefix operator of that level: infix operators of the same
    /// level stay outside of the operand.
    pub const fn prefix(level: u8) -> u8 {
        level * 2 + 1
    }
}

/// A language, as the driver sees it.
pub trait Grammar {
    /// The tree that is built.
    type Node;
    /// An infix operator with what belongs to it, such as `bool` or `on (a)`.
    type Infix;

    /// Reads an operand: a literal, a call, parentheses, or a prefix operator with its operand, and what stands directly
    /// behind it. Expressions inside are read through `pratt`, so that it can count the nesting.
    ///
    /// # Errors
    /// Where no operand stands here.
    fn operand(&mut self, pratt: &mut Pratt) -> Result<Self::Node, ParseError>;

    /// How the next token binds as an infix operator; `None` where the expression ends.
    fn peek_infix(&self) -> Option<Binding>;

    /// Takes the infix operator that has just been seen.
    ///
    /// # Errors
    /// Where what belongs to the operator is malformed.
    fn take_infix(&mut self) -> Result<Self::Infix, ParseError>;

    /// Puts a tree together.
    ///
    /// # Errors
    /// Where the operator does not take these operands.
    fn combine(
        &mut self,
        left: Self::Node,
        infix: Self::Infix,
        right: Self::Node,
    ) -> Result<Self::Node, ParseError>;

    /// The source.
    fn source(&self) -> &str;

    /// Where the next token stands.
    fn position(&self) -> SourceSpan;
}

/// Reads expressions and limits how deeply they may be nested, since reading them recurses, and how high their tree may grow,
/// since everything that walks it later recurses too.
///
/// For the height both nesting and chains count: `((1))` and `1+1+1` are trees of height 3.
#[derive(Clone, Debug)]
pub struct Pratt {
    max_nesting: usize,
    max_height: usize,
    depth: usize,
    /// The height of the highest expression read since the enclosing operand began.
    height: usize,
}

/// Deep enough for what people and generators write, and shallow enough for a stack of 2 MiB in an unoptimised build (measured:
/// 210 calls within each other fit).
pub const MAX_EXPRESSION_NESTING: usize = 128;

/// The same for trees: a chain of 400 operators fits such a stack.
pub const MAX_EXPRESSION_HEIGHT: usize = 256;

impl Default for Pratt {
    fn default() -> Self {
        Self::with_limits(MAX_EXPRESSION_NESTING, MAX_EXPRESSION_HEIGHT)
    }
}

impl Pratt {
    /// A driver that refuses expressions nested more deeply, and trees higher, than `limit`.
    pub fn new(limit: usize) -> Self {
        Self::with_limits(limit, limit)
    }

    /// A driver with a limit of the nesting and another one of the height.
    pub fn with_limits(max_nesting: usize, max_height: usize) -> Self {
        Self {
            max_nesting,
            max_height,
            depth: 0,
            height: 0,
        }
    }

    /// Reads an expression whose infix operators bind at least as tightly as `min_power` (0 for all of them).
    ///
    /// # Errors
    /// What the grammar reports, or a tree that would be too high.
    pub fn expression<G: Grammar>(
        &mut self,
        grammar: &mut G,
        min_power: u8,
    ) -> Result<G::Node, ParseError> {
        check(grammar, self.depth + 1, self.max_nesting)?;
        self.depth += 1;
        let outer_height = std::mem::take(&mut self.height);
        let mut left = grammar.operand(self)?;
        let mut height = self.height + 1;
        while let Some(binding) = grammar.peek_infix() {
            if binding.left < min_power {
                break;
            }
            check(grammar, height + 1, self.max_height)?;
            let infix = grammar.take_infix()?;
            self.height = 0;
            let right = self.expression(grammar, binding.right)?;
            height = height.max(self.height) + 1;
            check(grammar, height, self.max_height)?;
            left = grammar.combine(left, infix, right)?;
        }
        self.height = outer_height.max(height);
        self.depth -= 1;
        Ok(left)
    }
}

fn check<G: Grammar>(grammar: &G, levels: usize, limit: usize) -> Result<(), ParseError> {
    if levels <= limit {
        return Ok(());
    }
    Err(ParseError::new(
        grammar.source(),
        grammar.position(),
        format!(
            "expression is nested too deeply, the limit is {limit} levels of parentheses or operators"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LexRules, TokenKind, TokenStream, tokenize};

    const RULES: LexRules = LexRules {
        identifier_start: |_| false,
        identifier_continue: |_| false,
        operators: &["+", "*", "^", "-", "(", ")"],
        comment: None,
        unexpected: "unexpected character: ",
    };

    /// Arithmetic that renders every operation in parentheses.
    struct Arithmetic<'a>(TokenStream<'a>);

    impl Grammar for Arithmetic<'_> {
        type Node = String;
        type Infix = &'static str;

        fn operand(&mut self, pratt: &mut Pratt) -> Result<String, ParseError> {
            if self.0.eat("-") {
                let operand = pratt.expression(self, Binding::prefix(2))?;
                return Ok(format!("(-{operand})"));
            }
            if self.0.eat("(") {
                let inner = pratt.expression(self, 0)?;
                if !self.0.eat(")") {
                    return Err(self.0.error("expected \")\""));
                }
                return Ok(inner);
            }
            match self.0.peek().kind {
                TokenKind::Number(_) => {
                    let text = self.0.peek_text().to_owned();
                    self.0.advance();
                    Ok(text)
                }
                _ => Err(self.0.error("expected a number")),
            }
        }

        fn peek_infix(&self) -> Option<Binding> {
            match self.0.peek().operator()? {
                "+" | "-" => Some(Binding::left_associative(1)),
                "*" => Some(Binding::left_associative(2)),
                "^" => Some(Binding::right_associative(3)),
                _ => None,
            }
        }

        fn take_infix(&mut self) -> Result<&'static str, ParseError> {
            Ok(self.0.advance().operator().expect("an operator was seen"))
        }

        fn combine(
            &mut self,
            left: String,
            infix: &'static str,
            right: String,
        ) -> Result<String, ParseError> {
            Ok(format!("({left}{infix}{right})"))
        }

        fn source(&self) -> &str {
            self.0.source()
        }

        fn position(&self) -> SourceSpan {
            self.0.peek().span
        }
    }

    fn parse(source: &str) -> Result<String, ParseError> {
        let mut grammar = Arithmetic(TokenStream::new(source, tokenize(source, &RULES)));
        Pratt::new(100).expression(&mut grammar, 0)
    }

    #[test]
    fn binds_and_associates() {
        for (source, expected) in [
            ("1+2*3", "(1+(2*3))"),
            ("1*2+3", "((1*2)+3)"),
            ("1-2-3", "((1-2)-3)"),
            ("1^2^3", "(1^(2^3))"),
            ("-1^2", "(-(1^2))"),
            ("-1+2", "((-1)+2)"),
            ("2^-1", "(2^(-1))"),
            ("-1*2", "((-1)*2)"),
            ("2^-1*3", "((2^(-1))*3)"),
            ("(1+2)*3", "((1+2)*3)"),
        ] {
            assert_eq!(parse(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn nesting_and_chains_are_limited() {
        let nested = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
        let chain = |n: usize| vec!["1"; n].join("+");
        assert!(parse(&nested(99)).is_ok());
        assert!(parse(&chain(100)).is_ok());
        for source in [
            nested(100),
            nested(20_000),
            chain(101),
            chain(20_000),
            "-".repeat(20_000),
            vec!["1"; 20_000].join("^"),
            // The heights of a chain within a chain add up.
            format!("({})+{}", chain(60), chain(60)),
        ] {
            let error = parse(&source).expect_err("too high");
            assert!(error.message.contains("nested too deeply"), "{error}");
        }
        // Two operands side by side do not.
        assert!(parse(&format!("({})*({})", chain(60), chain(60))).is_ok());
    }
}
