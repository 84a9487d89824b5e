//! Both ways through real rings.
