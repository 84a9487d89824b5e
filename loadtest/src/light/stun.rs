//! Connectivity checks (RFC 8489, RFC 8445): just enough to be the controlling end.

use std::net::{IpAddr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_BYTES: usize = 20;
const REQUEST: [u8; 2] = [0x00, 0x01];
const SUCCESS: [u8; 2] = [0x01, 0x01];
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;
/// What the checksum is combined with (RFC 8489, section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// Integrity and fingerprint with their headers.
const INTEGRITY_BYTES: usize = 24;
const FINGERPRINT_BYTES: usize = 8;

/// Who a message belongs to.
pub(super) type Transaction = [u8; 12];

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The other end checks, and wants an answer.
    Request(Transaction),
    /// The other end answers a check of ours.
    Success(Transaction),
}

pub(super) fn parse(datagram: &[u8]) -> Option<Message> {
    let header = datagram.first_chunk::<HEADER_BYTES>()?;
    let (start, transaction) = header.split_last_chunk::<12>()?;
    if !start.ends_with(&COOKIE) {
        return None;
    }
    match *start.first_chunk::<2>()? {
        REQUEST => Some(Message::Request(*transaction)),
        SUCCESS => Some(Message::Success(*transaction)),
        _ => None,
    }
}

/// A check that nominates.
pub(super) fn request(
    transaction: Transaction,
    username: &str,
    password: &str,
    tie_breaker: u64,
) -> Vec<u8> {
    let mut message = begin(REQUEST, transaction);
    put(&mut message, USERNAME, username.as_bytes());
    put(&mut message, PRIORITY, &0x6e7f_1eff_u32.to_be_bytes());
    put(&mut message, ICE_CONTROLLING, &tie_breaker.to_be_bytes());
    put(&mut message, USE_CANDIDATE, &[]);
    finish(message, password)
}

/// The answer to a check from `from`.
pub(super) fn success(transaction: Transaction, from: SocketAddr, password: &str) -> Vec<u8> {
    let mut message = begin(SUCCESS, transaction);
    let [c0, c1, ..] = COOKIE;
    let [p0, p1] = from.port().to_be_bytes();
    let mask = COOKIE.iter().chain(&transaction);
    let mut value = vec![0, 1, p0 ^ c0, p1 ^ c1];
    match from.ip() {
        IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(mask).map(|(a, b)| a ^ b)),
        IpAddr::V6(ip) => {
            value[1] = 2;
            value.extend(ip.octets().iter().zip(mask).map(|(a, b)| a ^ b));
        }
    }
    put(&mut message, XOR_MAPPED_ADDRESS, &value);
    finish(message, password)
}

fn begin(kind: [u8; 2], transaction: Transaction) -> Vec<u8> {
    let mut message = Vec::with_capacity(128);
    message.extend(kind);
    message.extend([0, 0]);
    message.extend(COOKIE);
    message.extend(transaction);
    message
}

fn finish(mut message: Vec<u8>, password: &str) -> Vec<u8> {
    set_length(&mut message, INTEGRITY_BYTES);
    let provider = str0m::crypto::from_feature_flags().sha1_hmac_provider;
    let tag = provider.sha1_hmac(password.as_bytes(), &[&message]);
    put(&mut message, MESSAGE_INTEGRITY, &tag);
    set_length(&mut message, FINGERPRINT_BYTES);
    let checksum = crc32(&message) ^ FINGERPRINT_XOR;
    put(&mut message, FINGERPRINT, &checksum.to_be_bytes());
    message
}

fn put(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(0);
    message.extend(kind.to_be_bytes());
    message.extend(length.to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// The length field counts what follows the header, and `more` that is still to come.
fn set_length(message: &mut [u8], more: usize) {
    let length = u16::try_from(message.len() - HEADER_BYTES + more).unwrap_or(0);
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// CRC-32 (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use str0m::ice::StunMessage;

    use super::*;

    #[test]
    fn stock_str0m_reads_and_believes_our_messages() {
        let check = request([7; 12], "theirs:ours", "secret-of-theirs-012345", 9);
        assert_eq!(parse(&check), Some(Message::Request([7; 12])));
        let read = StunMessage::parse(&check).unwrap();
        assert_eq!(read.split_username(), Some(("theirs", "ours")));
        let hmac = |key: &[u8], parts: &[&[u8]]| {
            let provider = str0m::crypto::from_feature_flags().sha1_hmac_provider;
            provider.sha1_hmac(key, parts)
        };
        assert!(read.verify(b"secret-of-theirs-012345", hmac));
        assert!(!read.verify(b"another", hmac));

        let from = "192.0.2.7:4711".parse().unwrap();
        let answer = success([8; 12], from, "pw");
        assert_eq!(parse(&answer), Some(Message::Success([8; 12])));
        let read = StunMessage::parse(&answer).unwrap();
        assert!(read.verify(b"pw", hmac));
        assert_eq!(read.mapped_address(), Some(from));
    }
}
