//! A small, tolerant reader of GraphQL queries.

use serde_json::{Map, Value};

use super::{
    document::{Argument, Field, Operation, OperationKind, Variable},
    lexer::{Token, tokens},
};

/// Deeper nesting than this is refused, so that no query can exhaust the stack.
const DEPTH_LIMIT: u32 = 32;

/// What is wrong with a query's text.
#[derive(Debug, thiserror::Error)]
#[error("Syntax Error: {0}")]
pub(super) struct SyntaxError(pub(super) String);

/// Reads every operation of `text`.
pub(super) fn parse(text: &str) -> Result<Vec<Operation>, SyntaxError> {
    let mut parser = Parser {
        tokens: tokens(text)?.into_iter().peekable(),
        depth: 0,
    };
    let mut operations = Vec::new();
    while parser.tokens.peek().is_some() {
        operations.push(parser.operation()?);
    }
    match operations.is_empty() {
        true => Err(SyntaxError("the query is empty".to_owned())),
        false => Ok(operations),
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: u32,
}

impl Parser {
    fn operation(&mut self) -> Result<Operation, SyntaxError> {
        let mut operation = Operation {
            kind: OperationKind::Query,
            name: None,
            variables: Vec::new(),
            fields: Vec::new(),
        };
        if !self.sees('{') {
            operation.kind = match self.name()?.as_str() {
                "query" => OperationKind::Query,
                "mutation" => OperationKind::Mutation,
                other => return Err(SyntaxError(format!("unexpected name {other:?}"))),
            };
            if let Some(Token::Name(_)) = self.tokens.peek() {
                operation.name = Some(self.name()?);
            }
            if self.skip('(') {
                operation.variables = self.until(')', Self::variable)?;
            }
        }
        operation.fields = self.selection()?;
        Ok(operation)
    }

    fn variable(&mut self) -> Result<Variable, SyntaxError> {
        self.expect('$')?;
        let name = self.name()?;
        self.expect(':')?;
        let required = self.type_is_required()?;
        let default = match self.skip('=') {
            true => self.argument()?.fill(&Map::new()),
            false => None,
        };
        Ok(Variable {
            name,
            required,
            default,
        })
    }

    fn type_is_required(&mut self) -> Result<bool, SyntaxError> {
        self.nest(|parser| {
            if parser.skip('[') {
                parser.type_is_required()?;
                parser.expect(']')?;
            } else {
                parser.name()?;
            }
            Ok(parser.skip('!'))
        })
    }

    fn selection(&mut self) -> Result<Vec<Field>, SyntaxError> {
        self.expect('{')?;
        let fields = self.nest(|parser| parser.until('}', Self::field))?;
        match fields.is_empty() {
            true => Err(SyntaxError("a selection is empty".to_owned())),
            false => Ok(fields),
        }
    }

    fn field(&mut self) -> Result<Field, SyntaxError> {
        if self.sees('.') {
            let text = "fragments are not understood by this emulator";
            return Err(SyntaxError(text.to_owned()));
        }
        let mut name = self.name()?;
        let mut alias = None;
        if self.skip(':') {
            alias = Some(std::mem::replace(&mut name, self.name()?));
        }
        let arguments = match self.skip('(') {
            true => self.until(')', Self::entry)?,
            false => Vec::new(),
        };
        let selection = match self.sees('{') {
            true => self.selection()?,
            false => Vec::new(),
        };
        Ok(Field {
            alias,
            name,
            arguments,
            selection,
        })
    }

    fn entry(&mut self) -> Result<(String, Argument), SyntaxError> {
        let name = self.name()?;
        self.expect(':')?;
        Ok((name, self.argument()?))
    }

    fn argument(&mut self) -> Result<Argument, SyntaxError> {
        self.nest(|parser| match parser.next()? {
            Token::Mark('$') => Ok(Argument::Variable(parser.name()?)),
            Token::Mark('[') => Ok(Argument::List(parser.until(']', Self::argument)?)),
            Token::Mark('{') => Ok(Argument::Object(parser.until('}', Self::entry)?)),
            Token::Literal(value) => Ok(Argument::Value(value)),
            Token::Name(name) => Ok(Argument::Value(match name.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => Value::String(name),
            })),
            Token::Mark(mark) => Err(SyntaxError(format!("unexpected {mark:?}"))),
        })
    }

    fn until<T>(
        &mut self,
        end: char,
        mut read: impl FnMut(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<Vec<T>, SyntaxError> {
        let mut items = Vec::new();
        while !self.skip(end) {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn nest<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == DEPTH_LIMIT {
            return Err(SyntaxError("the query is nested too deeply".to_owned()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn next(&mut self) -> Result<Token, SyntaxError> {
        let end = || SyntaxError("unexpected end of the query".to_owned());
        self.tokens.next().ok_or_else(end)
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.next()? {
            Token::Name(name) => Ok(name),
            other => Err(SyntaxError(format!("expected a name, found {other:?}"))),
        }
    }

    fn sees(&mut self, mark: char) -> bool {
        self.tokens.peek() == Some(&Token::Mark(mark))
    }

    fn skip(&mut self, mark: char) -> bool {
        let seen = self.sees(mark);
        if seen {
            self.tokens.next();
        }
        seen
    }

    fn expect(&mut self, mark: char) -> Result<(), SyntaxError> {
        match self.next()? {
            Token::Mark(found) if found == mark => Ok(()),
            other => Err(SyntaxError(format!("expected {mark:?}, found {other:?}"))),
        }
    }
}
