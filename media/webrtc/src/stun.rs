//! Just enough of STUN (RFC 8489) to see which path a client nominates; str0m does the rest.

/// Cookie, at bytes 4 to 8 of every message.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_BYTES: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
/// "Use this pair" (RFC 8445, section 7.1.2).
const USE_CANDIDATE: u16 = 0x0025;

/// A connectivity check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BindingRequest {
    pub(crate) transaction: [u8; 12],
    /// The client nominates the path that the check came by.
    pub(crate) use_candidate: bool,
}

fn transaction(message: &[u8], kind: [u8; 2]) -> Option<[u8; 12]> {
    let header = message.first_chunk::<HEADER_BYTES>()?;
    let (start, transaction) = header.split_last_chunk::<12>()?;
    let fits = start.starts_with(&kind) && start.ends_with(&COOKIE);
    fits.then_some(*transaction)
}

/// Reads a connectivity check. Its authenticity is str0m's to judge.
pub(crate) fn binding_request(message: &[u8]) -> Option<BindingRequest> {
    let transaction = transaction(message, BINDING_REQUEST)?;
    let mut rest = message.get(HEADER_BYTES..).unwrap_or_default();
    let mut use_candidate = false;
    while let Some(([k0, k1, l0, l1], body)) = rest.split_first_chunk::<4>() {
        use_candidate |= u16::from_be_bytes([*k0, *k1]) == USE_CANDIDATE;
        let length = usize::from(u16::from_be_bytes([*l0, *l1])).next_multiple_of(4);
        rest = body.get(length..).unwrap_or_default();
    }
    Some(BindingRequest {
        transaction,
        use_candidate,
    })
}

/// Whether this is the answer that accepts the check with this transaction.
pub(crate) fn is_success(message: &[u8], request: &[u8; 12]) -> bool {
    transaction(message, BINDING_SUCCESS).as_ref() == Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: [u8; 2], attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&kind[..], &length, &COOKIE, &[7; 12], attributes].concat()
    }

    #[test]
    fn nomination_is_seen_behind_padded_attributes() {
        let attributes = [0, 6, 0, 3, b'a', b':', b'b', 0, 0, 0x25, 0, 0];
        let request = binding_request(&message(BINDING_REQUEST, &attributes)).unwrap();
        assert!(request.use_candidate);
        let plain = binding_request(&message(BINDING_REQUEST, &attributes[..8])).unwrap();
        assert!(!plain.use_candidate);
        assert!(is_success(
            &message(BINDING_SUCCESS, &[]),
            &request.transaction
        ));
        assert!(!is_success(&message(BINDING_SUCCESS, &[]), &[8; 12]));
        assert_eq!(binding_request(&message(BINDING_SUCCESS, &[])), None);
        assert_eq!(binding_request(&[0; 19]), None);
        // A length beyond the end merely ends the list.
        let cut = binding_request(&message(BINDING_REQUEST, &[0, 6, 0xff, 0xff, 1])).unwrap();
        assert!(!cut.use_candidate);
    }
}
