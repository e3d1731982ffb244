//! `#[handler]`: checks the function's shape and adds a type of the same name that implements `Handler`.
//!
//! The type is a braced struct: it lives among the types, the function among the values, so both can have one name,
//! and `export!(word_count)` or `word_count::task(..)` mean the handler while `word_count(..)` calls the function.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, FnArg, ItemFn, Lit, Meta, Result, ReturnType, Type};

use crate::options::{Options, is_name};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            "`#[handler]` goes on a function: `fn name(ctx: &Context, input: T) -> Result<O, TaskError>`",
        )
    })?;
    let mut options = Options::default();
    syn::meta::parser(|meta| options.read(&meta)).parse2(attribute)?;
    let shape = Shape::of(&function)?;

    let ItemFn { vis, sig, attrs, .. } = &function;
    let ident = &sig.ident;
    let name = options.name.unwrap_or_else(|| ident.to_string().trim_start_matches("r#").replace('_', "-"));
    if !is_name(&name) {
        let message =
            "the function's name makes no handler's name (lower-case letters, digits and `-`): write `name = \"...\"`";
        return Err(Error::new_spanned(ident, message));
    }
    let doc = doc_of(attrs);
    let settings = options.settings.iter().map(|(key, value)| quote!((#key, #value)));
    let Shape { input, result, takes_context } = shape;
    let arguments = takes_context.then(|| quote!(context)).into_iter().chain(input.as_ref().map(|_| quote!(input)));
    let call = quote!(#ident(#(#arguments),*));
    let input = input.map_or_else(|| quote!(()), ToTokens::into_token_stream);
    // At the span of the written type, where a mistake in it should show.
    let output = quote_spanned!(result.span()=> <#result as ::sunaba_sdk::HandlerResult>::Output);
    let into_result = quote_spanned!(result.span()=> ::sunaba_sdk::HandlerResult::into_result);
    let type_doc = format!("The handler `{name}`.");

    // A function of its own even when everything is inlined, so that a backtrace names the handler.
    let inline = attrs.iter().all(|attribute| !attribute.path().is_ident("inline")).then(|| quote!(#[inline(never)]));

    Ok(quote! {
        #inline
        #function

        #[doc = #type_doc]
        #[allow(non_camel_case_types, dead_code)]
        #vis struct #ident {}

        #[allow(dead_code)]
        impl #ident {
            /// The handler's name in its component.
            #vis const NAME: &'static str = <Self as ::sunaba_sdk::Handler>::NAME;

            /// A task of this handler, for a plan or to be submitted by another handler.
            #vis fn task(input: impl ::sunaba_sdk::InputOf<Self>) -> ::sunaba_sdk::Child {
                ::sunaba_sdk::__private::task::<Self>(input)
            }
        }

        impl ::sunaba_sdk::Handler for #ident {
            const NAME: &'static str = #name;
            const DOC: &'static str = #doc;
            const SETTINGS: &'static [(&'static str, &'static str)] = &[#(#settings),*];
            type Input = #input;
            type Output = #output;

            fn call(
                context: &::sunaba_sdk::Context,
                input: Self::Input,
            ) -> ::std::result::Result<::sunaba_sdk::Outcome<Self::Output>, ::sunaba_sdk::TaskError> {
                let _ = (context, &input);
                #into_result(#call)
            }
        }
    })
}

/// What the macro needs of the function's signature.
struct Shape {
    /// None: the handler takes nothing, which is `null` in JSON.
    input: Option<Type>,
    result: Type,
    takes_context: bool,
}

impl Shape {
    fn of(function: &ItemFn) -> Result<Self> {
        let sig = &function.sig;
        if let Some(token) = &sig.asyncness {
            return Err(Error::new_spanned(
                token,
                "a handler is a plain `fn`: remove `async` (it has its sandbox to itself, so it may block)",
            ));
        }
        if !sig.generics.params.is_empty() {
            return Err(Error::new_spanned(
                &sig.generics,
                "a handler cannot be generic: the host calls it with one input type, so name the type",
            ));
        }
        let ReturnType::Type(_, result) = &sig.output else {
            return Err(Error::new_spanned(
                sig,
                "a handler returns a result: write `-> Result<Output, TaskError>` (`Result<(), TaskError>` for nothing)",
            ));
        };
        let arguments = sig.inputs.iter().map(typed).collect::<Result<Vec<_>>>()?;
        let (takes_context, input) = match arguments.as_slice() {
            [] => (false, None),
            [context] if is_reference(context) => (true, None),
            [input] => (false, Some(*input)),
            [context, input] if is_reference(context) && !is_reference(input) => (true, Some(*input)),
            [_, input] if is_reference(input) => {
                return Err(Error::new_spanned(input, "a handler owns its input: take the type itself, without `&`"));
            }
            _ => {
                return Err(Error::new_spanned(
                    &sig.inputs,
                    "a handler takes `(ctx: &Context, input: T)`, each of which may be left out",
                ));
            }
        };
        Ok(Self { input: input.cloned(), result: (**result).clone(), takes_context })
    }
}

fn typed(argument: &FnArg) -> Result<&Type> {
    match argument {
        FnArg::Typed(argument) => Ok(&argument.ty),
        FnArg::Receiver(receiver) => {
            Err(Error::new_spanned(receiver, "a handler is a free function: move it out of the `impl` block"))
        }
    }
}

fn is_reference(ty: &Type) -> bool {
    matches!(ty, Type::Reference(_))
}

/// The doc comment, one leading space of each line removed as rustdoc does.
fn doc_of(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value()),
            other => Some(other.to_token_stream().to_string()),
        },
        _ => None,
    });
    lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect::<Vec<_>>().join("\n")
}
