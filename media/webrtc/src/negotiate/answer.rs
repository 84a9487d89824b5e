//! Turns str0m's answer into ours.

use std::fmt::Write;

use media_types::{MediaKind, Mid};

use super::offer;
use crate::config::Permissions;
use crate::line::Line;
use crate::sdp::{Direction, Sdp, Section, SectionKind, attribute_value};
use crate::slots::Slots;

/// Narrows the answer: formats in the client's order, no feedback that was not offered, no
/// direction that the client may not have.
pub(super) fn restrict<'a>(answer: &Sdp<'a>, offer: &Sdp<'a>, permissions: Permissions) -> Sdp<'a> {
    let sections = answer.sections.iter().map(|section| {
        let mid = section.mid();
        let offered = offer.sections.iter().find(|offered| offered.mid() == mid);
        let mut section = section.clone();
        if let Some(offered) = offered {
            let place = |format: &&str| offered.formats.iter().position(|other| other == format);
            section
                .formats
                .sort_by_key(|format| place(format).unwrap_or(usize::MAX));
            section.lines.retain(|line| was_offered(line, offered));
        }
        if let (SectionKind::Media(_), Some(offered)) = (section.kind, offered) {
            // str0m does not know that clients wish to receive.
            let wished = offer::direction(offer, offered);
            let direction = section.direction();
            let allowed = Direction {
                sends: wished.receives && permissions.subscribe,
                receives: direction.receives && permissions.publish,
            };
            for line in &mut section.lines {
                if line.strip_prefix("a=").and_then(Direction::of).is_some() {
                    *line = match allowed.as_str() {
                        "sendrecv" => "a=sendrecv",
                        "sendonly" => "a=sendonly",
                        "recvonly" => "a=recvonly",
                        _ => "a=inactive",
                    };
                }
            }
        }
        section
    });
    Sdp {
        session: answer.session.clone(),
        sections: sections.collect(),
    }
}

/// Whether an `a=rtcp-fb` line answers one of the offer; true for all other lines.
fn was_offered(line: &str, offered: &Section<'_>) -> bool {
    let Some(value) = attribute_value(line, "rtcp-fb") else {
        return true;
    };
    let Some((_, message)) = value.split_once(' ') else {
        return false;
    };
    let mut offers = offered.attributes("rtcp-fb");
    offers.any(|offer| offer == value || offer.split_once(' ') == Some(("*", message)))
}

/// The number of the msid stream of each slot. Slots of one stream play in step.
pub(super) fn stream_groups(lines: &[Line], pairs: &[(Mid, Mid)]) -> Vec<(Mid, usize)> {
    let of_kind = |kind| {
        let slots = lines.iter().filter(move |line| line.kind == kind);
        slots
            .filter(|line| line.client.receives)
            .map(|line| line.mid)
    };
    let in_order = of_kind(MediaKind::Audio).zip(of_kind(MediaKind::Video));
    let in_order: Vec<_> = if pairs.is_empty() {
        in_order.collect()
    } else {
        pairs.to_vec()
    };
    let mut groups = Vec::new();
    for (group, (audio, video)) in in_order.into_iter().enumerate() {
        groups.push((audio, group));
        groups.push((video, group));
    }
    let mut next = groups.len() / 2;
    for line in lines.iter().filter(|line| line.client.receives) {
        if !groups.iter().any(|(mid, _)| *mid == line.mid) {
            groups.push((line.mid, next));
            next += 1;
        }
    }
    groups
}

/// Writes the answer with our origin, and the sources and streams of slots in place of str0m's.
pub(super) fn write(
    answer: &Sdp<'_>,
    (session_id, version): (u64, u64),
    slots: &Slots,
    groups: &[(Mid, usize)],
) -> String {
    let mut text = String::new();
    for line in &answer.session {
        if line.starts_with("o=") {
            put(
                &mut text,
                &format!("o=- {session_id} {version} IN IP4 127.0.0.1"),
            );
        } else if attribute_value(line, "msid-semantic").is_some() {
            put(&mut text, "a=msid-semantic: WMS *");
        } else {
            put(&mut text, line);
        }
    }
    for section in &answer.sections {
        put(
            &mut text,
            &format!("{} {}", section.head, section.formats.join(" ")),
        );
        let mut candidates = false;
        for line in &section.lines {
            candidates |= attribute_value(line, "candidate").is_some();
            let theirs = ["msid", "ssrc", "ssrc-group"];
            if !theirs
                .iter()
                .any(|name| attribute_value(line, name).is_some())
            {
                put(&mut text, line);
            }
        }
        if candidates {
            put(&mut text, "a=end-of-candidates");
        }
        write_slot(&mut text, section, slots, groups);
    }
    text
}

fn write_slot(text: &mut String, section: &Section<'_>, slots: &Slots, groups: &[(Mid, usize)]) {
    let sends = section.direction().sends && section.port != 0;
    let mid = section.mid().filter(|_| sends);
    let slot = mid.and_then(|mid| slots.by_mid(mid));
    let (Some(mid), Some((_, slot))) = (mid, slot) else {
        return;
    };
    let group = groups.iter().find(|(of, _)| *of == mid);
    let group = group.map_or(0, |(_, group)| *group);
    let msid = format!("stream-{group} slot-{mid}");
    put(text, &format!("a=msid:{msid}"));
    let rtx = slot.has_rtx().then_some(slot.rtx_ssrc);
    if let Some(rtx) = rtx {
        put(text, &format!("a=ssrc-group:FID {} {rtx}", slot.ssrc));
    }
    for ssrc in std::iter::once(slot.ssrc).chain(rtx) {
        put(text, &format!("a=ssrc:{ssrc} cname:{}", slots.cname()));
        put(text, &format!("a=ssrc:{ssrc} msid:{msid}"));
    }
}

fn put(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{line}\r\n");
}
