//! The script engine. (Stub of this branch: replaced at merge.)

use crate::model::{Data, Diagnosis, Fault, Place};
use crate::ops::Session;

/// A script's text and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as given, `-`, or `-c`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// How a script ended that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With the value of its last expression.
    Value(Data),
    /// With `exit(code)`.
    Exit(u8),
}

/// Runs scripts.
#[derive(Debug)]
pub struct Runner(rhai::Engine);

impl Runner {
    /// A runner for this session.
    pub fn new(_session: &Session) -> Self {
        let mut engine = rhai::Engine::new();
        engine.register_fn("exit", |code: i64| -> Result<(), Box<rhai::EvalAltResult>> {
            Err(rhai::EvalAltResult::ErrorTerminated(code.into(), rhai::Position::NONE).into())
        });
        Self(engine)
    }

    /// Runs a script.
    ///
    /// # Errors
    /// What the script failed with.
    pub fn run(&mut self, source: &Source, args: &[String]) -> Result<End, Diagnosis> {
        let mut scope = rhai::Scope::new();
        let args: rhai::Array = args.iter().map(|arg| arg.clone().into()).collect();
        scope.push_constant("args", args);
        match self.0.eval_with_scope::<rhai::Dynamic>(&mut scope, &source.text) {
            Ok(value) if value.is_unit() => Ok(End::Value(Data::Nothing)),
            Ok(value) if value.is_string() => Ok(End::Value(Data::Text(value.to_string()))),
            Ok(value) => Ok(End::Value(Data::Tree(serde_json::to_value(&value).unwrap_or_default()))),
            Err(error) => match *error {
                rhai::EvalAltResult::ErrorTerminated(code, _) => {
                    Ok(End::Exit(u8::try_from(code.as_int().unwrap_or(1)).unwrap_or(1)))
                }
                error => Err(diagnosis(source, &error)),
            },
        }
    }

    /// Parses a script.
    pub fn check(&self, source: &Source) -> Vec<Diagnosis> {
        let result = self.0.compile(&source.text).map_err(rhai::EvalAltResult::from);
        result.err().iter().map(|error| diagnosis(source, error)).collect()
    }
}

fn diagnosis(source: &Source, error: &rhai::EvalAltResult) -> Diagnosis {
    let place = error.position();
    let fault = Fault::new("script", error.to_string());
    let (line, column) = (place.line().unwrap_or(0), place.position().unwrap_or(0));
    let place = Place { script: source.name.clone(), text: source.text.clone(), line, column, length: 1 };
    Diagnosis { fault, places: vec![place] }
}
