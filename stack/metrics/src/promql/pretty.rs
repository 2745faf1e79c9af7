//! A tree as text over several lines, as Prometheus' `format_query` prints it (promql/parser, prettier.go).

use super::{Expr, ExprKind};

/// What is longer than this is split.
const LINE_BYTES_MAX: usize = 100;

impl Expr {
    /// The canonical text, with a line for each part where it is longer than 100 bytes.
    pub fn pretty(&self) -> String {
        self.pretty_at(0)
    }

    fn pretty_at(&self, level: usize) -> String {
        let indent = "  ".repeat(level);
        let whole = self.to_string();
        if whole.len() <= LINE_BYTES_MAX {
            // As upstream has it: a subquery that is not split stands where it is, without an indent.
            return match self.kind {
                ExprKind::Subquery(_) => whole,
                _ => indent + &whole,
            };
        }
        match &self.kind {
            ExprKind::Paren(inner) => {
                format!("{indent}(\n{}\n{indent})", inner.pretty_at(level + 1))
            }
            ExprKind::Unary { negative, operand } => {
                let sign = if *negative { '-' } else { '+' };
                format!("{indent}{sign}{}", operand.pretty_at(level).trim())
            }
            ExprKind::Binary(binary) => {
                let returns_bool = if binary.return_bool { " bool" } else { "" };
                let matching = binary.matching.as_ref().map(ToString::to_string);
                format!(
                    "{}\n{indent}{}{returns_bool}{}\n{}",
                    binary.left.pretty_at(level + 1),
                    binary.op.as_str(),
                    matching.unwrap_or_default(),
                    binary.right.pretty_at(level + 1)
                )
            }
            ExprKind::Aggregate(aggregate) => {
                let grouping = aggregate.grouping.to_string();
                let blank = if grouping.is_empty() { "" } else { " " };
                let param = aggregate
                    .param
                    .as_ref()
                    .map(|param| format!("{},\n", param.pretty_at(level + 1)));
                format!(
                    "{indent}{}{grouping}{blank}(\n{}{}\n{indent})",
                    aggregate.op.as_str(),
                    param.unwrap_or_default(),
                    aggregate.expr.pretty_at(level + 1)
                )
            }
            ExprKind::Call { function, args } => {
                let args: Vec<String> = args.iter().map(|arg| arg.pretty_at(level + 1)).collect();
                format!(
                    "{indent}{}(\n{}\n{indent})",
                    function.name,
                    args.join(",\n")
                )
            }
            ExprKind::Subquery(subquery) => {
                let window = &whole[subquery.expr.to_string().len()..];
                format!("{}{window}", subquery.expr.pretty_at(level))
            }
            ExprKind::Number { .. }
            | ExprKind::String(_)
            | ExprKind::Vector(_)
            | ExprKind::Matrix { .. } => indent + &whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    fn check(source: &str, expected: &str) {
        let expr = parse(source).expect(source);
        assert_eq!(expr.pretty(), expected);
        assert_eq!(
            parse(expected).expect(expected).to_string(),
            expr.to_string()
        );
    }

    #[test]
    fn short_expressions_stay_on_a_line() {
        check("sum(rate(x[5m]))by(a)/2", "sum by (a) (rate(x[5m])) / 2");
    }

    /// What Prometheus 2.42 answers.
    #[test]
    fn long_expressions_get_a_line_for_each_part() {
        check(
            "sum by (job) (rate(requests_total{namespace=\"production-checkout\",service=\"checkout-frontend\",cluster=\"europe-west\"}[5m])) / on (job) group_left (team) sum by (job, team) (rate(requests_total[5m]))",
            "  sum by (job) (\n    rate(\n      requests_total{cluster=\"europe-west\",namespace=\"production-checkout\",service=\"checkout-frontend\"}[5m]\n    )\n  )\n/ on (job) group_left (team)\n  sum by (job, team) (rate(requests_total[5m]))",
        );
        check(
            "histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket{namespace=\"production-checkout\",service=\"checkout-frontend\",cluster=\"europe-west\"}[5m]))) > bool 0.5 and -up{namespace=\"production-checkout\",service=\"checkout-frontend\",cluster=\"europe-west\"} == 1",
            "    histogram_quantile(\n      0.95,\n      sum by (le) (\n        rate(\n          latency_seconds_bucket{cluster=\"europe-west\",namespace=\"production-checkout\",service=\"checkout-frontend\"}[5m]\n        )\n      )\n    )\n  > bool\n    0.5\nand\n  -up{cluster=\"europe-west\",namespace=\"production-checkout\",service=\"checkout-frontend\"} == 1",
        );
        check(
            "max_over_time(sum(rate(requests_total{namespace=\"production-checkout\",service=\"checkout-frontend\",cluster=\"europe-west\"}[5m] offset 1h))[1h:1m] offset 5m) unless (topk(5, requests_total{namespace=\"production-checkout\",service=\"checkout-frontend\",cluster=\"europe-west\"}) or vector(1))",
            "  max_over_time(\n    sum(\n      rate(\n        requests_total{cluster=\"europe-west\",namespace=\"production-checkout\",service=\"checkout-frontend\"}[5m] offset 1h\n      )\n    )[1h:1m] offset 5m\n  )\nunless\n  (\n      topk(\n        5,\n        requests_total{cluster=\"europe-west\",namespace=\"production-checkout\",service=\"checkout-frontend\"}\n      )\n    or\n      vector(1)\n  )",
        );
        check(
            "quantile(0.5, -(requests_total{namespace=\"production-checkout\",service=\"checkout-frontend\",cluster=\"europe-west\"} + on () requests_total{namespace=\"production-checkout\",service=\"checkout-frontend\",cluster=\"europe-west\"} @ start()))",
            "quantile(\n  0.5,\n  -(\n      requests_total{cluster=\"europe-west\",namespace=\"production-checkout\",service=\"checkout-frontend\"}\n    + on ()\n      requests_total{cluster=\"europe-west\",namespace=\"production-checkout\",service=\"checkout-frontend\"} @ start()\n  )\n)",
        );
    }
}
