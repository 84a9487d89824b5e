//! The structure that a keyframe's descriptor carries: templates, decode targets, chains.

use arrayvec::ArrayVec;
use media_types::Layer;

use super::super::bits::Bits;
use super::super::{Resolution, layer};
use super::{CHAINS_MAX, REFERENCES_MAX};

/// Template numbers have six bits.
const TEMPLATES_MAX: usize = 64;
/// Decode target counts have five bits, plus one.
const TARGETS_MAX: usize = 32;
/// Spatial layers that a descriptor may name, of which we tell [`Layer::SPATIAL_MAX`] apart.
const SPATIAL_MAX: usize = 8;

/// What frames of one template have in common.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) layer: Layer,
    /// Two bits for each decode target, target 0 lowest.
    pub(super) indications: u64,
    pub(super) references: ArrayVec<u16, REFERENCES_MAX>,
    pub(super) chains: ArrayVec<u8, CHAINS_MAX>,
}

/// `template_dependency_structure` of the specification.
#[derive(Debug, Clone)]
pub(super) struct Structure {
    template_offset: u8,
    templates: Vec<Template>,
    pub(super) target_count: u8,
    pub(super) target_layers: ArrayVec<Layer, TARGETS_MAX>,
    pub(super) chain_count: u8,
    /// The chain of each target; empty if there are no chains.
    pub(super) target_chains: ArrayVec<u8, TARGETS_MAX>,
    /// By spatial layer; empty if not told.
    pub(super) resolutions: ArrayVec<Resolution, SPATIAL_MAX>,
}

impl Structure {
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let template_offset = bits.small(6)?;
        let target_count = bits.small(5)? + 1;
        let (mut templates, spatial_count) = read_layers(bits)?;
        for template in &mut templates {
            template.indications = read_indications(bits, target_count)?;
        }
        for template in &mut templates {
            while bits.bit()? {
                let distance = bits.short(4)? + 1;
                template.references.try_push(distance).ok()?;
            }
        }
        let mut structure = Self {
            template_offset,
            target_layers: target_layers(&templates, target_count),
            templates,
            target_count,
            chain_count: 0,
            target_chains: ArrayVec::new(),
            resolutions: ArrayVec::new(),
        };
        structure.read_chains(bits)?;
        if bits.bit()? {
            for _ in 0..spatial_count {
                let resolution = Resolution {
                    width: bits.short(16)?.saturating_add(1),
                    height: bits.short(16)?.saturating_add(1),
                };
                structure.resolutions.try_push(resolution).ok()?;
            }
        }
        Some(structure)
    }

    fn read_chains(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let count = bits.below(u32::from(self.target_count) + 1)?;
        self.chain_count = u8::try_from(count).ok()?;
        if count == 0 {
            return Some(());
        }
        for _ in 0..self.target_count {
            let chain = u8::try_from(bits.below(count)?).ok()?;
            self.target_chains.try_push(chain).ok()?;
        }
        for template in &mut self.templates {
            for _ in 0..count {
                template.chains.try_push(bits.small(4)?).ok()?;
            }
        }
        Some(())
    }

    /// The template with this number on the wire; an old structure's number finds none.
    pub(super) fn template(&self, number: u8) -> Option<&Template> {
        let index = number.wrapping_sub(self.template_offset) & 0x3f;
        self.templates.get(usize::from(index))
    }

    /// A bit for each target.
    pub(super) fn all_targets(&self) -> u32 {
        u32::MAX >> (32 - u32::from(self.target_count))
    }

    /// The target whose topmost layer is this one.
    pub(super) fn target_of(&self, layer: Layer) -> Option<u8> {
        let index = self.target_layers.iter().position(|&other| other == layer);
        index.and_then(|index| u8::try_from(index).ok())
    }
}

/// One template a step through the layers; also how many spatial layers there are.
fn read_layers(bits: &mut Bits<'_>) -> Option<(Vec<Template>, usize)> {
    let mut templates = Vec::new();
    let (mut spatial, mut temporal) = (0_u8, 0_u8);
    loop {
        if templates.len() == TEMPLATES_MAX {
            return None;
        }
        templates.push(Template {
            layer: layer(spatial, temporal),
            indications: 0,
            references: ArrayVec::new(),
            chains: ArrayVec::new(),
        });
        match bits.number(2)? {
            0 => {}
            1 => temporal += 1,
            2 => (spatial, temporal) = (spatial + 1, 0),
            _ => return Some((templates, usize::from(spatial) + 1)),
        }
    }
}

pub(super) fn read_indications(bits: &mut Bits<'_>, target_count: u8) -> Option<u64> {
    let mut indications = 0;
    for target in 0..target_count {
        indications |= u64::from(bits.number(2)?) << (2 * target);
    }
    Some(indications)
}

/// A target's topmost layer: the highest of those whose templates are not absent from it.
fn target_layers(templates: &[Template], target_count: u8) -> ArrayVec<Layer, TARGETS_MAX> {
    (0..target_count)
        .map(|target| {
            let present = templates
                .iter()
                .filter(|template| (template.indications >> (2 * target)) & 0b11 != 0);
            present.fold(Layer::BASE, |top, template| Layer {
                spatial: top.spatial.max(template.layer.spatial),
                temporal: top.temporal.max(template.layer.temporal),
            })
        })
        .collect()
}
