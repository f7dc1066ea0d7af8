//! `/metrics`: how things stand, for Prometheus.

mod jobs;
mod labelbox;
mod page;

use warp::{
    http::{HeaderValue, header::CONTENT_TYPE},
    reply::Response,
};

use super::Admin;
use crate::http::error::ApiError;
use page::Page;

impl Admin {
    pub(super) async fn metrics(&self) -> Result<Response, ApiError> {
        let mut page = Page::default();
        let standing = self.store.standing().await?;
        self.write_visits(&mut page);
        self.write_jobs(&mut page, &standing);
        self.write_reports(&mut page, &standing);
        self.write_labelbox(&mut page);
        self.write_exports(&mut page);
        self.write_server(&mut page);
        let mut response = Response::new(page.text.into());
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(response)
    }

    fn write_exports(&self, page: &mut Page) {
        let exports = &self.exports;
        page.begin("exports", "gauge", "Exports of runs' data under way");
        page.line(&[], exports.under_way());
        page.begin(
            "exported_rows_total",
            "counter",
            "Data rows fetched since the start",
        );
        page.line(&[], exports.rows());
        page.begin(
            "exported_bytes_total",
            "counter",
            "Bytes of exports fetched since the start",
        );
        page.line(&[], exports.bytes());
    }

    fn write_server(&self, page: &mut Page) {
        page.begin(
            "store_commit_seconds",
            "histogram",
            "How long the store's transactions took",
        );
        page.durations(&[], &self.store.meters().commits);
        let room = self.room.get();
        page.begin(
            "disk_free_bytes",
            "gauge",
            "Room on the disk under a folder",
        );
        for (folder, free) in [("state_dir", room.state_dir), ("jobs_dir", room.jobs_dir)] {
            if let Some(free) = free {
                page.line(&[("folder", folder)], free);
            }
        }
        page.begin(
            "disk_min_free_bytes",
            "gauge",
            "With less nothing new starts",
        );
        page.line(&[], room.min_free);
        page.begin("build_info", "gauge", "Always 1");
        page.line(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}
