//! `#[data]`: the derives that make a type an input or output.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Result};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(Error::new_spanned(attribute, "`#[data]` has no options: use `#[serde(...)]` on the type"));
    }
    let item: DeriveInput = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), "`#[data]` goes on a struct or an enum that a handler takes or returns")
    })?;
    if let Some(lifetime) = item.generics.lifetimes().next() {
        return Err(Error::new_spanned(
            lifetime,
            "a `#[data]` type owns what it holds: use `String` for `&str`, `Vec<T>` for `&[T]`",
        ));
    }
    Ok(quote! {
        #[derive(
            ::sunaba_sdk::__private::serde::Serialize,
            ::sunaba_sdk::__private::serde::Deserialize,
            ::sunaba_sdk::__private::schemars::JsonSchema,
        )]
        #[serde(crate = "::sunaba_sdk::__private::serde")]
        #[schemars(crate = "::sunaba_sdk::__private::schemars")]
        #item
    })
}
