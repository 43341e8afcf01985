//! Keyset paging, said once for every list.

use super::Value;
use crate::base::page::Slice;

/// The end of a list's statement: the condition that begins the page (to follow the list's own conditions), and order,
/// limit and offset. Rows come in the list's order, or in the opposite one if [`Slice::is_back`].
pub fn keyset<'p>(slice: &'p Slice, column: &str, descending: bool, params: &mut Vec<Value<'p>>) -> (String, String) {
    let falling = descending != slice.is_back();
    let (than, direction) = if falling { ("<", "desc") } else { (">", "asc") };
    let condition = slice.from.as_ref().map(|place| {
        params.extend([Value::from(&place.key), place.id.into()]);
        let n = params.len();
        format!(" and ({column}, id) {than} (?{}, ?{n})", n - 1)
    });
    params.extend([slice.limit.into(), slice.skip.into()]);
    let n = params.len();
    let order = format!(" order by {column} {direction}, id {direction} limit ?{} offset ?{n}", n - 1);
    (condition.unwrap_or_default(), order)
}
