//! Jobs: why they are where they are, and their graphs.

use reqwest::Method;
use sunaba_host::job_story::{JobGraph, JobStory};
use sunaba_server::api::{GraphFormat, GraphQuestion};
use sunaba_task::job::JobId;

use crate::{Client, ClientError};

impl Client {
    /// Why a job is where it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain_job(&self, id: JobId) -> Result<JobStory, ClientError> {
        self.send(self.request(Method::GET, &format!("/v1/jobs/{id}/explain"))).await
    }

    /// The tasks of a job as a graph. Groups with more members than `fold` are one node each; none: as the host has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_job_graph(&self, id: JobId, fold: Option<usize>) -> Result<JobGraph, ClientError> {
        self.ask(&format!("/v1/jobs/{id}/graph"), &GraphQuestion { format: None, fold }).await
    }

    /// The same as a text: a tree, a graph for Graphviz, or an SVG document.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn draw_job(&self, id: JobId, format: GraphFormat, fold: Option<usize>) -> Result<String, ClientError> {
        let question = GraphQuestion { format: Some(format), fold };
        let request = self.asking(self.request(Method::GET, &format!("/v1/jobs/{id}/graph")), &question)?;
        let bytes = self.fetch(request).await?;
        String::from_utf8(bytes.into()).map_err(|error| self.protocol(error))
    }
}
