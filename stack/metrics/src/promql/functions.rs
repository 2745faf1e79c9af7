//! The functions of PromQL and their signatures.

use super::ValueType::{self, Matrix, Scalar, String, Vector};

/// A function's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments; the last one repeats where `variadic` allows it.
    pub args: &'static [ValueType],
    /// How many arguments may be left out or added at the end: 0 none, `-1` any number, n at most n beyond all but the last.
    pub variadic: i32,
    /// The type of its result.
    pub returns: ValueType,
    /// Whether Prometheus has it behind `--enable-feature=promql-experimental-functions`.
    pub experimental: bool,
}

const fn plain(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Function {
    Function {
        name,
        args,
        variadic: 0,
        returns,
        experimental: false,
    }
}

const fn variadic(
    name: &'static str,
    args: &'static [ValueType],
    variadic: i32,
    returns: ValueType,
) -> Function {
    Function {
        name,
        args,
        variadic,
        returns,
        experimental: false,
    }
}

const fn experimental(function: Function) -> Function {
    Function {
        experimental: true,
        ..function
    }
}

/// All functions, sorted by name.
pub static FUNCTIONS: [Function; 89] = [
    plain("abs", &[Vector], Vector),
    plain("absent", &[Vector], Vector),
    plain("absent_over_time", &[Matrix], Vector),
    plain("acos", &[Vector], Vector),
    plain("acosh", &[Vector], Vector),
    plain("asin", &[Vector], Vector),
    plain("asinh", &[Vector], Vector),
    plain("atan", &[Vector], Vector),
    plain("atanh", &[Vector], Vector),
    plain("avg_over_time", &[Matrix], Vector),
    plain("ceil", &[Vector], Vector),
    plain("changes", &[Matrix], Vector),
    plain("clamp", &[Vector, Scalar, Scalar], Vector),
    plain("clamp_max", &[Vector, Scalar], Vector),
    plain("clamp_min", &[Vector, Scalar], Vector),
    plain("cos", &[Vector], Vector),
    plain("cosh", &[Vector], Vector),
    plain("count_over_time", &[Matrix], Vector),
    variadic("day_of_month", &[Vector], 1, Vector),
    variadic("day_of_week", &[Vector], 1, Vector),
    variadic("day_of_year", &[Vector], 1, Vector),
    variadic("days_in_month", &[Vector], 1, Vector),
    plain("deg", &[Vector], Vector),
    plain("delta", &[Matrix], Vector),
    plain("deriv", &[Matrix], Vector),
    experimental(plain(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Vector,
    )),
    experimental(plain("end", &[], Scalar)),
    plain("exp", &[Vector], Vector),
    plain("first_over_time", &[Matrix], Vector),
    plain("floor", &[Vector], Vector),
    plain("histogram_avg", &[Vector], Vector),
    plain("histogram_count", &[Vector], Vector),
    plain("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    plain("histogram_quantile", &[Scalar, Vector], Vector),
    experimental(variadic(
        "histogram_quantiles",
        &[Vector, String, Scalar, Scalar],
        9,
        Vector,
    )),
    plain("histogram_stddev", &[Vector], Vector),
    plain("histogram_stdvar", &[Vector], Vector),
    plain("histogram_sum", &[Vector], Vector),
    variadic("hour", &[Vector], 1, Vector),
    plain("idelta", &[Matrix], Vector),
    plain("increase", &[Matrix], Vector),
    experimental(variadic("info", &[Vector, Vector], 1, Vector)),
    plain("irate", &[Matrix], Vector),
    variadic("label_join", &[Vector, String, String, String], -1, Vector),
    plain(
        "label_replace",
        &[Vector, String, String, String, String],
        Vector,
    ),
    plain("last_over_time", &[Matrix], Vector),
    plain("ln", &[Vector], Vector),
    plain("log10", &[Vector], Vector),
    plain("log2", &[Vector], Vector),
    experimental(plain("mad_over_time", &[Matrix], Vector)),
    experimental(plain("max_of", &[Scalar, Scalar], Scalar)),
    plain("max_over_time", &[Matrix], Vector),
    experimental(plain("min_of", &[Scalar, Scalar], Scalar)),
    plain("min_over_time", &[Matrix], Vector),
    variadic("minute", &[Vector], 1, Vector),
    variadic("month", &[Vector], 1, Vector),
    plain("pi", &[], Scalar),
    plain("predict_linear", &[Matrix, Scalar], Vector),
    plain("present_over_time", &[Matrix], Vector),
    plain("quantile_over_time", &[Scalar, Matrix], Vector),
    plain("rad", &[Vector], Vector),
    experimental(plain("range", &[], Scalar)),
    plain("rate", &[Matrix], Vector),
    plain("resets", &[Matrix], Vector),
    variadic("round", &[Vector, Scalar], 1, Vector),
    plain("scalar", &[Vector], Scalar),
    plain("sgn", &[Vector], Vector),
    plain("sin", &[Vector], Vector),
    plain("sinh", &[Vector], Vector),
    plain("sort", &[Vector], Vector),
    experimental(variadic("sort_by_label", &[Vector, String], -1, Vector)),
    experimental(variadic(
        "sort_by_label_desc",
        &[Vector, String],
        -1,
        Vector,
    )),
    plain("sort_desc", &[Vector], Vector),
    plain("sqrt", &[Vector], Vector),
    experimental(plain("start", &[], Scalar)),
    plain("stddev_over_time", &[Matrix], Vector),
    plain("stdvar_over_time", &[Matrix], Vector),
    experimental(plain("step", &[], Scalar)),
    plain("sum_over_time", &[Matrix], Vector),
    plain("tan", &[Vector], Vector),
    plain("tanh", &[Vector], Vector),
    plain("time", &[], Scalar),
    plain("timestamp", &[Vector], Vector),
    experimental(plain("ts_of_first_over_time", &[Matrix], Vector)),
    experimental(plain("ts_of_last_over_time", &[Matrix], Vector)),
    experimental(plain("ts_of_max_over_time", &[Matrix], Vector)),
    experimental(plain("ts_of_min_over_time", &[Matrix], Vector)),
    plain("vector", &[Scalar], Vector),
    variadic("year", &[Vector], 1, Vector),
];

impl Function {
    /// The function of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS
            .binary_search_by(|function| function.name.cmp(name))
            .ok()
            .map(|index| &FUNCTIONS[index])
    }

    /// The type of argument number `index`.
    pub fn arg_type(&self, index: usize) -> Option<ValueType> {
        if index < self.args.len() {
            self.args.get(index).copied()
        } else if self.variadic == 0 {
            None
        } else {
            self.args.last().copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted_and_found() {
        assert!(FUNCTIONS.is_sorted_by_key(|function| function.name));
        assert_eq!(Function::find("rate").map(|f| f.returns), Some(Vector));
        assert_eq!(Function::find("Rate"), None);
        assert_eq!(
            Function::find("label_join").and_then(|f| f.arg_type(9)),
            Some(String)
        );
    }
}
