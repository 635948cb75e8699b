//! What an issuer does with tokens after it gave them, and with its keys.
