/** Keeps a page's own failure on that page: the rest of the dashboard stays usable. */

import { Component, type ReactNode } from "react";
import { Notice } from "./Panel";

export class Boundary extends Component<{ children: ReactNode }, { failure: Error | null }> {
  override state: { failure: Error | null } = { failure: null };

  static getDerivedStateFromError(failure: Error) {
    return { failure };
  }

  override render() {
    const { failure } = this.state;
    if (!failure) return this.props.children;
    return (
      <Notice
        tone="bad"
        title="This page could not be shown"
        action={
          <button type="button" className="button" onClick={() => this.setState({ failure: null })}>
            Try again
          </button>
        }
      >
        <p>{failure.message}</p>
      </Notice>
    );
  }
}
